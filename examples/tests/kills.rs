//! Transfers of the example `files` whose both sides are killed, again and again, at random bytes.
//!
//! `TRANSFER_MIB` and `TRANSFER_KILLS` in the environment set another size (default 8) and number of kills (default 20).
//! In full: `TRANSFER_MIB=1024 TRANSFER_KILLS=100 cargo test --release -p iip-examples --test kills -- --nocapture`

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iip_rpc::{Code, Server};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use transfer::client::{Progress, TransferError, connect, download, upload};
use transfer::files::FilesServer;
use transfer::folder::Folder;
use transfer::service::{CHUNK, FileService};

/// What a call's credit grows to at most, bytes.
const WINDOW: u64 = 4 << 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Writes a file nobody can guess, and returns its digest.
fn random_file(path: &Path, size: u64, random: &mut fastrand::Rng) -> Vec<u8> {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    let mut digest = Sha256::new();
    let mut left = size;
    let mut piece = vec![0; 1 << 20];
    while left > 0 {
        let most = piece.len().min(left as usize);
        random.fill(&mut piece[..most]);
        file.write_all(&piece[..most]).unwrap();
        digest.update(&piece[..most]);
        left -= most as u64;
    }
    digest.finalize().to_vec()
}

fn digest_of(path: &Path) -> Vec<u8> {
    let mut file = fs::File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let digest = transfer::folder::digest(&mut file, size).unwrap();
    digest.finalize().to_vec()
}

/// Waits until nobody writes the partial file any more: how much of the file it has.
async fn kept(partial: &Path) -> u64 {
    let partial = partial.to_owned();
    let waiting = tokio::task::spawn_blocking(move || match fs::File::open(partial) {
        Ok(file) => {
            flock(&file, FlockOperation::LockExclusive).unwrap();
            file.metadata().unwrap().len()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => panic!("{error}"),
    });
    waiting.await.unwrap()
}

/// Counts the bytes of the file that the client sends or receives.
#[derive(Default)]
struct Moved(AtomicU64);

impl Progress for Moved {
    fn at(&self, _: u64, _: u64) {}
    fn moved(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Down,
    Up,
}

/// What one attempt did.
struct Attempt {
    result: Result<u64, TransferError>,
    /// Bytes of the file that the receiver has afterwards.
    there: u64,
    /// Bytes that the sender put onto the connection, with all headers.
    sent: u64,
    /// Bytes of the file that the receiver was given.
    received: u64,
}

/// Stands between a client and `target` for one connection, and ends it when `kill` bytes went in the direction of the
/// file. Returns how many the sender has put onto the connection until it noticed.
async fn relay(way: Way, listener: TcpListener, target: String, kill: u64) -> u64 {
    let (client, _) = listener.accept().await.unwrap();
    // Nobody connects again.
    drop(listener);
    let server = TcpStream::connect(target).await.unwrap();
    let (from, to) = match way {
        Way::Down => (server, client),
        Way::Up => (client, server),
    };
    let ((mut from, mut back_to), (mut back, mut to)) = (from.into_split(), to.into_split());
    let mut taken = 0;
    let mut buffer = vec![0; 64 * 1024];
    let file = async {
        while taken < kill {
            let most = (kill - taken).min(buffer.len() as u64) as usize;
            match from.read(&mut buffer[..most]).await {
                Ok(read @ 1..) if to.write_all(&buffer[..read]).await.is_ok() => {
                    taken += read as u64;
                }
                _ => break,
            }
        }
    };
    tokio::select! {
        () = file => {}
        _ = copy(&mut back, &mut back_to) => {}
    }
    drop((to, back, back_to));
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        taken += read as u64;
    }
    taken
}

/// A server, a client, and between them a relay that cuts their connection after `kill` bytes. Nothing of them is left.
async fn attempt(way: Way, theirs: &Path, ours: &Path, size: u64, kill: Option<u64>) -> Attempt {
    let service = FileService::new(Folder::open(theirs).unwrap(), size);
    let server = Server::builder()
        .add_service(FilesServer::new(service.clone()))
        .default_timeout(None)
        .run_limit(Duration::from_secs(3600))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let target = server.local_addr().to_string().replace("iip://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let relay = tokio::spawn(relay(way, listener, target, kill.unwrap_or(u64::MAX)));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve_with_shutdown(stopped, Duration::ZERO));
    let client = connect(&address).unwrap();
    let moved = Moved::default();
    let folder = Folder::open(ours).unwrap();
    let path = ours.join("file");
    let partial = match way {
        Way::Down => ours.join("file.iip-part"),
        Way::Up => theirs.join("file.iip-part"),
    };
    let transfer = async {
        match way {
            Way::Down => download(&client, "file", &folder, &moved).await,
            Way::Up => upload(&client, &path, "file", &moved).await,
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(300), transfer)
        .await
        .expect("a transfer ends");
    drop(client);
    drop(stop);
    serving.await.unwrap().unwrap();
    let there = match result {
        Ok(size) => size,
        Err(_) => kept(&partial).await,
    };
    Attempt {
        result,
        there,
        sent: relay.await.unwrap(),
        received: match way {
            Way::Down => moved.0.into_inner(),
            Way::Up => service.received(),
        },
    }
}

async fn survives(way: Way) {
    let size = setting("TRANSFER_MIB", 8) << 20;
    let kills = setting("TRANSFER_KILLS", 20);
    let mut random = fastrand::Rng::with_seed(setting("TRANSFER_SEED", 7));
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let (from, to) = match way {
        Way::Down => (theirs.path(), ours.path()),
        Way::Up => (ours.path(), theirs.path()),
    };
    let digest = random_file(&from.join("file"), size, &mut random);
    let (mut there, mut killed, mut busy) = (0, 0, 0);
    let (mut sent_twice, mut received_twice) = ([0, 0], [0, 0]);
    let count = |[total, most]: &mut [u64; 2], twice: u64| {
        *total += twice;
        *most = twice.max(*most);
    };
    loop {
        // Fewer than are left, so that the cut comes before the end; evenly spread over the file.
        let most = (2 * (size - there) / (kills - killed + 1)).max(1);
        let kill = (killed < kills).then(|| random.u64(1..=most));
        let done = attempt(way, theirs.path(), ours.path(), size, kill).await;
        assert!(done.there >= there, "bytes that were there are gone");
        let gained = done.there - there;
        there = done.there;
        // A hundredth, and a hello, are headers.
        let headers = gained / 100 + 4096;
        count(&mut sent_twice, done.sent.saturating_sub(gained + headers));
        count(&mut received_twice, done.received - gained);
        // What arrived is written before more is taken, and no more than a window is on its way.
        assert!(received_twice[1] <= CHUNK as u64, "{received_twice:?}");
        assert!(sent_twice[1] <= CHUNK as u64 + WINDOW, "{sent_twice:?}");
        match done.result {
            Ok(moved) => {
                assert_eq!(kill, None, "ended before its kill, at {moved}");
                break;
            }
            // The server that was killed had not yet opened the file that it was to open.
            Err(TransferError::Call(status)) if status.code() == Code::Aborted => {
                busy += 1;
                assert!(busy <= kills, "{status}");
            }
            Err(TransferError::Call(status)) => {
                assert_ne!(kill, None, "failed without a kill: {status}");
                let lost = [Code::Unavailable, Code::Unknown];
                assert!(lost.contains(&status.code()), "{status}");
                killed += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(digest_of(&to.join("file")), digest);
    assert!(!to.join("file.iip-part").exists());
    println!(
        "{way:?}: {size} bytes, {killed} kills; sent twice: {} bytes, per kill {} at most, {} allowed; received twice: \
         {}, per kill {} at most, {CHUNK} allowed",
        sent_twice[0],
        sent_twice[1],
        CHUNK as u64 + WINDOW,
        received_twice[0],
        received_twice[1],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_survives_kills() {
    survives(Way::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_kills() {
    survives(Way::Up).await;
}
