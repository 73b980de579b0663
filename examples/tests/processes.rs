//! `files-server` and `files-client` as processes, killed in the middle of a transfer with SIGKILL.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use transfer::service::CHUNK;

/// What a call's credit grows to at most, bytes.
const WINDOW: u64 = 4 << 20;
const SIZE: u64 = 16 << 20;
/// The kill comes when so many bytes have gone over the connection: what is kept then is more than half of the file.
const KILL: u64 = 13 << 20;
/// Longer than any transfer takes on the slowest machine.
const FOREVER: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Down,
    Up,
}

#[derive(Clone, Copy)]
enum Victim {
    Server,
    Client,
}

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server, and its address.
fn server(folder: &Path) -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_files-server"))
        .arg(folder)
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let output = child.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut address).unwrap();
    (Process(child), address.trim().replace("iip://", ""))
}

fn client(way: Way, address: &str, folder: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_files-client"));
    match way {
        Way::Down => command.args(["get", address]).arg(folder).arg("file"),
        Way::Up => command.args(["put", address]).arg(folder.join("file")),
    };
    Process(command.spawn().unwrap())
}

/// Stands between client and server, and holds their first connection when it has passed on [`KILL`] bytes of the file.
struct Relay {
    address: String,
    target: Mutex<String>,
    way: Way,
    held: Notify,
    cut: Notify,
    /// Bytes passed on in the direction of the file.
    passed: Mutex<u64>,
}

impl Relay {
    async fn start(way: Way, target: String) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            target: Mutex::new(target),
            way,
            held: Notify::new(),
            cut: Notify::new(),
            passed: Mutex::new(0),
        });
        let running = relay.clone();
        tokio::spawn(async move {
            let mut most = KILL;
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let target = running.target.lock().unwrap().clone();
                // A server that was killed is not there; the client tries again.
                if let Ok(server) = TcpStream::connect(target).await {
                    tokio::spawn(running.clone().pass(client, server, most));
                    most = u64::MAX;
                }
            }
        });
        relay
    }

    async fn pass(self: Arc<Self>, client: TcpStream, server: TcpStream, most: u64) {
        let (from, to) = match self.way {
            Way::Down => (server, client),
            Way::Up => (client, server),
        };
        let ((from, mut grants_to), (mut grants, mut to)) = (from.into_split(), to.into_split());
        let file = async {
            let mut from = from.take(most);
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match from.read(&mut buffer).await {
                    Ok(read) if read > 0 && to.write_all(&buffer[..read]).await.is_ok() => {
                        *self.passed.lock().unwrap() += read as u64;
                    }
                    _ => break,
                }
            }
            if from.limit() == 0 {
                self.held.notify_one();
                self.cut.notified().await;
            }
        };
        // The end of either direction ends both.
        tokio::select! {
            () = file => {}
            _ = copy(&mut grants, &mut grants_to) => {}
        }
    }
}

async fn goes_on_after_a_kill(way: Way, victim: Victim) {
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let (from, to) = match way {
        Way::Down => (theirs.path(), ours.path()),
        Way::Up => (ours.path(), theirs.path()),
    };
    let mut data = vec![0; SIZE as usize];
    fastrand::Rng::with_seed(1).fill(&mut data);
    fs::write(from.join("file"), &data).unwrap();

    let (mut running_server, address) = server(theirs.path());
    let relay = Relay::start(way, address).await;
    let mut running_client = client(way, &relay.address, ours.path());
    tokio::time::timeout(FOREVER, relay.held.notified())
        .await
        .expect("the transfer begins");
    match victim {
        Victim::Server => {
            running_server.0.kill().unwrap();
            running_server.0.wait().unwrap();
            // The client is not told of the new server: it tries again by itself.
            let address;
            (running_server, address) = server(theirs.path());
            *relay.target.lock().unwrap() = address;
            relay.cut.notify_one();
        }
        Victim::Client => {
            running_client.0.kill().unwrap();
            running_client.0.wait().unwrap();
            relay.cut.notify_one();
            running_client = client(way, &relay.address, ours.path());
        }
    }
    let waiting = tokio::task::spawn_blocking(move || running_client.0.wait().unwrap());
    let status = tokio::time::timeout(FOREVER, waiting)
        .await
        .expect("the transfer ends");
    assert!(status.unwrap().success());
    drop(running_server);
    assert!(fs::read(to.join("file")).unwrap() == data);
    assert!(!to.join("file.iip-part").exists());
    // Of what had gone over the connection only a window and a chunk went over it again; a hundredth is for headers.
    let passed = *relay.passed.lock().unwrap();
    let allowed = SIZE + SIZE / 100 + WINDOW + CHUNK as u64;
    assert!(passed <= allowed, "{passed} bytes of {SIZE}");
    assert!(passed >= SIZE, "the file did not go through the relay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_when_its_server_was_killed() {
    goes_on_after_a_kill(Way::Down, Victim::Server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_when_its_client_was_killed() {
    goes_on_after_a_kill(Way::Down, Victim::Client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_when_its_server_was_killed() {
    goes_on_after_a_kill(Way::Up, Victim::Server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_when_its_client_was_killed() {
    goes_on_after_a_kill(Way::Up, Victim::Client).await;
}
