use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::servers::own_address;

/// Stands in front of a server, and forwards or does not.
#[derive(Debug)]
pub(super) struct Proxy {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    cutting: Cutting,
    /// Whether anything is accepted and forwarded.
    forward: watch::Sender<bool>,
    cuts: AtomicU64,
    accepted: Mutex<Vec<Instant>>,
}

/// Which connections are cut.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cutting {
    Never,
    /// Each, after a random number of bytes in one of its directions, up to this many.
    Within(u64),
}

impl Proxy {
    /// Listens on an address of its own.
    pub(super) async fn start(upstream: &str, cutting: Cutting) -> io::Result<Self> {
        let address = own_address();
        let listener = TcpListener::bind(&address).await?;
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            cutting,
            forward: watch::Sender::new(true),
            cuts: AtomicU64::new(0),
            accepted: Mutex::default(),
        });
        Ok(Self {
            address,
            accepting: tokio::spawn(Arc::clone(&shared).accept(listener)),
            shared,
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether bytes are forwarded and connections accepted, from now on. Those that are not wait.
    pub(super) fn forward(&self, forward: bool) {
        self.shared.forward.send_replace(forward);
    }

    /// Connections that were cut so far.
    pub(super) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// The most connections that were accepted within a second after `from`.
    pub(super) fn most_in_a_second(&self, from: Instant) -> u64 {
        let accepted = self.shared.accepted.lock();
        let accepted = accepted.unwrap_or_else(PoisonError::into_inner);
        let first = accepted.partition_point(|at| *at < from);
        let accepted = &accepted[first..];
        let within = |(index, at): (usize, &Instant)| {
            let end = accepted.partition_point(|other| *other < *at + Duration::from_secs(1));
            (end - index) as u64
        };
        accepted.iter().enumerate().map(within).max().unwrap_or(0)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut forward = self.forward.subscribe();
        loop {
            open(&mut forward).await;
            // Nothing is accepted that comes when this is no longer so.
            let stream = tokio::select! {
                biased;
                _ = forward.changed() => continue,
                accepted = listener.accept() => accepted,
            };
            if let Ok((stream, _)) = stream {
                let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
                accepted.push(Instant::now());
                drop(accepted);
                tokio::spawn(Arc::clone(&self).relay(stream));
            }
        }
    }

    /// Carries a connection's bytes until one side ends it, or it is cut.
    async fn relay(self: Arc<Self>, near: TcpStream) {
        // Where nobody listens, the connection ends as it came.
        let Ok(far) = TcpStream::connect(&self.upstream).await else {
            return;
        };
        let _ = near.set_nodelay(true);
        let _ = far.set_nodelay(true);
        let allowed = match self.cutting {
            Cutting::Never => [None, None],
            Cutting::Within(bytes) => {
                let allowed = Some(fastrand::u64(0..bytes));
                // Half of them end with a reset.
                if fastrand::bool() {
                    let _ = near.set_zero_linger();
                    let _ = far.set_zero_linger();
                }
                match fastrand::bool() {
                    true => [allowed, None],
                    false => [None, allowed],
                }
            }
        };
        let (near_reads, near_writes) = near.into_split();
        let (far_reads, far_writes) = far.into_split();
        let pump = |from, to, allowed| pump(from, to, self.forward.subscribe(), allowed);
        let there = pump(near_reads, far_writes, allowed[0]);
        let back = pump(far_reads, near_writes, allowed[1]);
        if let Err(End::Cut) = tokio::try_join!(there, back) {
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Why a connection ends before both sides have ended it.
enum End {
    Cut,
    Lost,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut forward: watch::Receiver<bool>,
    mut allowed: Option<u64>,
) -> Result<(), End> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let len = from.read(&mut buffer).await?;
        open(&mut forward).await;
        if len == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        let part = allowed.map_or(len, |allowed| (len as u64).min(allowed) as usize);
        to.write_all(&buffer[..part]).await?;
        if let Some(allowed) = &mut allowed {
            *allowed -= part as u64;
            if *allowed == 0 {
                return Err(End::Cut);
            }
        }
    }
}

/// Waits until bytes are forwarded.
async fn open(forward: &mut watch::Receiver<bool>) {
    // An error means that the proxy is gone, and then this is, too.
    let _ = forward.wait_for(|forward| *forward).await;
}
