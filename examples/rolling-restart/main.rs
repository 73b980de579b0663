//! Replaces a server while its clients go on calling, and no call fails. `cargo run -p iip-examples --bin rolling-restart`
//!
//! Each server is a process of its own. All of them are passed one listener, as a service manager does it: a client that
//! connects while there is no server waits for the next one. `docs/operations.md` has the unit files for systemd.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

use helloworld::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};
use iip_rpc::{Channel, Request, Response, Server, Status, shutdown_signal};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long calls may still take when their server is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Servers, one after the other.
const SERVERS: usize = 4;

/// Calls that each server answers before the next one comes.
const CALLS: usize = 200;

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> std::result::Result<Response<HelloReply>, Status> {
        // Some calls are still running when their server is told to stop.
        sleep(Duration::from_millis(2)).await;
        let name = request.into_inner().name;
        let message = format!("Hello {name}, from process {}!", std::process::id());
        Ok(HelloReply { message }.into())
    }
}

/// A server: it says when it listens, and serves until SIGTERM. What it had to cut short decides how it ends.
async fn serve() -> Result<ExitCode> {
    let stop = shutdown_signal();
    let server = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .inherited()
        .bind("127.0.0.1:9090")
        .await?;
    println!(
        "process {} listens on {}",
        std::process::id(),
        server.local_addr()
    );
    let report = server.serve_with_shutdown(stop, GRACE).await?;
    let clean = report.is_clean();
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A server's process, which does not outlive this one.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts a server, and waits until it listens.
    fn start(listener: &TcpListener) -> Result<Self> {
        // What a service manager does: the listener is descriptor 3, and the environment says so.
        const PASS: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
        let mut process = Self(
            Command::new("sh")
                .args(["-c", PASS, "sh"])
                .arg(std::env::current_exe()?)
                .arg("serve")
                .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
                .stdout(Stdio::piped())
                .spawn()?,
        );
        let output = process.0.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        print!("{line}");
        Ok(process)
    }

    /// Tells it to stop, and waits until its last call is answered.
    fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.0.id())?;
        let id = Pid::from_raw(id).ok_or("a process without an id")?;
        kill_process(id, Signal::TERM)?;
        let status = self.0.wait()?;
        println!("process {} has stopped: {status}", id.as_raw_nonzero());
        match status.success() {
            true => Ok(()),
            false => Err("a server cut calls short".into()),
        }
    }
}

/// Calls until it is told to stop. An error ends it.
async fn call(
    greeter: GreeterClient,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> std::result::Result<(), Status> {
    while !stop.load(Ordering::Relaxed) {
        let name = String::from("world");
        greeter.say_hello(HelloRequest { name }).await?;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn replace() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut running = Process::start(&listener)?;
    let channel = Channel::builder(listener.local_addr()?.to_string())
        .wait_for_ready()
        .connect()
        .await?;
    let (answered, stop) = (Arc::default(), Arc::default());
    let callers: Vec<_> = (0..8)
        .map(|_| GreeterClient::new(channel.clone()))
        .map(|greeter| tokio::spawn(call(greeter, Arc::clone(&answered), Arc::clone(&stop))))
        .collect();
    for server in 1..=SERVERS {
        while answered.load(Ordering::Relaxed) < server * CALLS {
            if let Some(failed) = callers.iter().position(|caller| caller.is_finished()) {
                return Err(format!("caller {failed} failed").into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        if server < SERVERS {
            tokio::task::block_in_place(|| {
                let next = Process::start(&listener)?;
                std::mem::replace(&mut running, next).stop()
            })?;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await??;
    }
    let report = channel.close(GRACE).await;
    tokio::task::block_in_place(|| running.stop())?;
    println!(
        "{} calls on {SERVERS} servers, none failed; the client closed in {:?}",
        answered.load(Ordering::Relaxed),
        report.took
    );
    match report.is_clean() {
        true => Ok(()),
        false => Err("the client cut calls short".into()),
    }
}

fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return iip_rpc::run(serve());
    }
    iip_rpc::run(async { tokio::spawn(replace()).await? })?;
    Ok(ExitCode::SUCCESS)
}
