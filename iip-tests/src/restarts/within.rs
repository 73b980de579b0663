use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use iip_rpc::Server;
use iip_rpc::server::ServerHandle;
use tokio::task::JoinHandle;

use super::ledger::{Ledger, Tally};
use super::load::{Load, Noting};
use crate::helloworld::GreeterServer;

/// Longer than any call takes.
const GRACE: Duration = Duration::from_secs(30);

/// Calls that each server answers before it is replaced.
const CALLS: u64 = 40;

/// How long a port may be taken by the server before.
const TAKEN: Duration = Duration::from_secs(60);

/// A server of this process.
struct Running {
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Waits until it has stopped.
    async fn end(self, ledger: &Ledger) -> io::Result<()> {
        let report = self.handle.stopped().await;
        ledger.stop(report.is_some_and(|report| report.is_clean()));
        self.serving.await?
    }
}

async fn start(address: &str, ledger: &Arc<Ledger>) -> io::Result<Running> {
    let noted = Arc::clone(ledger);
    let server = bind(address, move |call| noted.execute(call)).await?;
    Ok(Running {
        handle: server.handle(),
        serving: tokio::spawn(server.serve()),
    })
}

/// Listens as soon as the address is free: the server before may not have noticed yet that it is to stop.
pub(super) async fn bind(
    address: &str,
    note: impl Fn(u64) + Clone + Send + Sync + 'static,
) -> io::Result<Server> {
    let began = tokio::time::Instant::now();
    loop {
        let server = Server::builder().add_service(GreeterServer::new(Noting(note.clone())));
        match server.bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && began.elapsed() < TAKEN => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            other => return other,
        }
    }
}

/// Replaces a server on one port so many times under load, each by a server of this process that begins while the one
/// before still answers its last calls.
///
/// # Errors
///
/// The callers cannot connect, or come to a standstill.
pub async fn within_one_process(restarts: u64) -> Result<(Tally, Vec<String>), io::Error> {
    let ledger = Arc::new(Ledger::default());
    let address = own_address();
    let mut running = start(&address, &ledger).await?;
    let mut load = Load::start(&address, Arc::clone(&ledger))
        .await
        .map_err(io::Error::other)?;
    for _ in 0..restarts {
        load.progress(CALLS).await.map_err(io::Error::other)?;
        running.handle.drain(GRACE);
        let next = start(&address, &ledger).await?;
        std::mem::replace(&mut running, next).end(&ledger).await?;
    }
    load.progress(CALLS).await.map_err(io::Error::other)?;
    if !load.end().await {
        ledger.fail(String::from("a channel did not close in an orderly way"));
    }
    running.handle.drain(GRACE);
    running.end(&ledger).await?;
    Ok((ledger.tally(), ledger.failures()))
}

/// An address that nobody else has: one of this process on the loopback interface, and a port that the system gives to no
/// client, which could get it while no server listens.
pub(super) fn own_address() -> String {
    static PORT: AtomicU16 = AtomicU16::new(15_000);
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let port = PORT.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{b}.{c}:{port}", a | 0x40)
}
