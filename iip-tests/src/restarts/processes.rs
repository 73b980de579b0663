use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iip_rpc::{Server, shutdown_signal};
use rustix::process::{Pid, Signal, kill_process};

use super::ledger::{Ledger, Tally};
use super::load::{Load, Noting};
use super::within::{bind, own_address};
use crate::helloworld::GreeterServer;

/// Longer than any call takes.
const GRACE: Duration = Duration::from_secs(30);

/// Calls that each server answers before it is replaced.
const CALLS: u64 = 40;

/// How a server gets its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// It listens itself, once the one before has closed its listener.
    Itself,
    /// It is passed a listener that stays open (`LISTEN_FDS`), and begins before the other is told to stop.
    Inherited,
    /// The same with a Unix socket.
    InheritedUnix,
}

/// The server of one process: prints a line when it listens, serves until SIGTERM, and prints the numbers of the calls it
/// has seen. Whether it stopped in an orderly way. `address` is `inherited`, or what to listen on.
///
/// # Errors
///
/// It cannot listen, or print.
pub async fn serve(address: &str) -> io::Result<bool> {
    // Before anybody can know that there is a process to stop.
    let stop = shutdown_signal();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let seen = Arc::clone(&seen);
        move |call: u64| {
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(call)
        }
    };
    let server = match address {
        "inherited" => Server::builder()
            .add_service(GreeterServer::new(Noting(note)))
            .inherited()
            .build()?,
        _ => bind(address, note).await?,
    };
    writeln!(io::stdout(), "{}", server.local_addr())?;
    let report = server.serve_with_shutdown(stop, GRACE).await?;
    let mut out = io::BufWriter::new(io::stdout());
    for call in &*seen.lock().unwrap_or_else(PoisonError::into_inner) {
        writeln!(out, "{call}")?;
    }
    out.flush()?;
    Ok(report.is_clean())
}

/// The process of a server. It does not outlive this.
struct Process {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(program: &Path, address: &str, listener: Option<&OwnedFd>) -> io::Result<Self> {
        let mut command = match listener {
            None => Command::new(program),
            Some(listener) => {
                // What a service manager does: the listener is descriptor 3, and the process knows that it is meant.
                const PASS: &str = "exec 3<&0 </dev/null; \
                    export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=rpc; exec \"$@\"";
                let mut shell = Command::new("sh");
                shell.args(["-c", PASS, "sh"]).arg(program);
                shell.stdin(Stdio::from(listener.try_clone()?));
                shell
            }
        };
        let mut child = command
            .args(["serve", address])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().map(BufReader::new);
        Ok(Self { child, output })
    }

    fn wait_until_it_listens(&mut self) -> io::Result<()> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        match line.is_empty() {
            true => Err(io::Error::other("a server ended before it listened")),
            false => Ok(()),
        }
    }

    fn tell_to_stop(&self) -> io::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("a process without an id"))?;
        Ok(kill_process(id, Signal::TERM)?)
    }

    /// Reads what it has seen.
    fn wait(&mut self, ledger: &Ledger) -> io::Result<()> {
        let mut text = String::new();
        if let Some(mut output) = self.output.take() {
            output.read_to_string(&mut text)?;
        }
        for call in text.lines().filter_map(|line| line.parse().ok()) {
            ledger.execute(call);
        }
        let status = self.child.wait()?;
        ledger.stop(status.success());
        Ok(())
    }
}

/// Replaces a server on one port so many times under load, each by a process of its own that is told to stop with
/// SIGTERM. `program` is this one, which calls [`serve`] when it is told to.
///
/// # Errors
///
/// A process cannot be started, or the callers come to a standstill.
pub async fn across_processes(
    program: &Path,
    restarts: u64,
    listening: Listening,
) -> io::Result<(Tally, Vec<String>)> {
    let ledger = Arc::new(Ledger::default());
    let mut address = own_address();
    let listener: Option<OwnedFd> = match listening {
        Listening::Itself => None,
        Listening::Inherited => Some(TcpListener::bind(&address)?.into()),
        Listening::InheritedUnix => {
            let name = format!("iip-restarts-{}.sock", std::process::id());
            let file = std::env::temp_dir().join(name);
            let listener = UnixListener::bind(&file)?;
            address = format!("unix://{}", file.display());
            Some(listener.into())
        }
    };
    let start = || match &listener {
        None => Process::start(program, &address, None),
        some => Process::start(program, "inherited", some.as_ref()),
    };
    let mut running = start()?;
    running.wait_until_it_listens()?;
    let mut load = Load::start(&address, Arc::clone(&ledger))
        .await
        .map_err(io::Error::other)?;
    let mut ending = VecDeque::new();
    for _ in 0..restarts {
        load.progress(CALLS).await.map_err(io::Error::other)?;
        let mut next = start()?;
        if listener.is_some() {
            next = blocking(move || next.wait_until_it_listens().map(|()| next)).await?;
            running.tell_to_stop()?;
        } else {
            running.tell_to_stop()?;
            next = blocking(move || next.wait_until_it_listens().map(|()| next)).await?;
        }
        let mut before = std::mem::replace(&mut running, next);
        let noted = Arc::clone(&ledger);
        ending.push_back(tokio::task::spawn_blocking(move || before.wait(&noted)));
        // Few are left to end beside each other.
        if ending.len() > 4
            && let Some(first) = ending.pop_front()
        {
            first.await??;
        }
    }
    load.progress(CALLS).await.map_err(io::Error::other)?;
    if !load.end().await {
        ledger.fail(String::from("a channel did not close in an orderly way"));
    }
    for rest in ending {
        rest.await??;
    }
    running.tell_to_stop()?;
    let noted = Arc::clone(&ledger);
    blocking(move || running.wait(&noted)).await?;
    if let Some(file) = address.strip_prefix("unix://") {
        std::fs::remove_file(file)?;
    }
    Ok((ledger.tally(), ledger.failures()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
