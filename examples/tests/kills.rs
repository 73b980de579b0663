//! Transfers of the example `files` whose both sides are killed, again and again, at random bytes.
//!
//! `TRANSFER_MIB` and `TRANSFER_KILLS` in the environment set another size (default 8) and number of kills (default 20).
//! In full: `TRANSFER_MIB=1024 TRANSFER_KILLS=100 cargo test --release -p iip-examples --test kills -- --nocapture`

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iip_rpc::Server;
use iip_rpc::testing::Faults;
use sha2::{Digest, Sha256};
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

#[derive(Default)]
struct Counted {
    moved: AtomicU64,
    done: AtomicU64,
}

impl Progress for Counted {
    fn at(&self, done: u64, _: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
    fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Down,
    Up,
}

async fn survives(way: Way) {
    let size = setting("TRANSFER_MIB", 8) << 20;
    let kills = setting("TRANSFER_KILLS", 20);
    let seed = setting("TRANSFER_SEED", 7);
    let mut random = fastrand::Rng::with_seed(seed);
    let theirs = tempfile::tempdir().unwrap();
    let ours = tempfile::tempdir().unwrap();
    let (from, to) = match way {
        Way::Down => (theirs.path(), ours.path()),
        Way::Up => (ours.path(), theirs.path()),
    };
    let digest = random_file(&from.join("file"), size, &mut random);
    let target = to.join("file");
    let partial = to.join("file.iip-part");
    let counted = Counted::default();
    let (mut killed, mut sent, mut received, mut passed) = (0, 0, 0, 0);
    loop {
        let kept = fs::metadata(&partial).map_or(0, |found| found.len());
        let service = FileService::new(Folder::open(theirs.path()).unwrap(), size);
        let server = Server::builder()
            .add_service(FilesServer::new(service.clone()))
            .default_timeout(None)
            .run_limit(Duration::from_secs(3600))
            .bind("127.0.0.1:0")
            .await
            .unwrap();
        let mut faults = Faults::new(random.u64(..));
        let last = killed == kills;
        if !last {
            // Fewer than there are left to move, so that the cut comes before the end; evenly spread over the file.
            let most = (2 * (size - kept) / (kills - killed + 1)).max(1);
            let at = random.u64(1..=most);
            faults = faults.drop_after(at..=at);
        }
        let relay = faults.relay(server.local_addr());
        let serving = tokio::spawn(server.serve());
        let client = connect(&relay.address().to_string()).unwrap();
        let folder = Folder::open(ours.path()).unwrap();
        let path = ours.path().join("file");
        let attempt = async {
            match way {
                Way::Down => download(&client, "file", &folder, &counted).await,
                Way::Up => upload(&client, &path, "file", &counted).await,
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(120), attempt)
            .await
            .expect("a transfer ends");
        drop(client);
        serving.abort();
        let _ = serving.await;
        sent += service.sent();
        received += service.received();
        passed += relay.passed();
        match result {
            Ok(moved) => {
                assert!(last, "ended before its last kill, at {moved}");
                break;
            }
            // The server that was killed may still be writing what it had taken.
            Err(TransferError::Call(status)) if status.code() == iip_rpc::Code::Aborted => {}
            Err(TransferError::File(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(TransferError::Call(status)) => {
                assert!(!last, "failed without a kill: {status}");
                killed += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(digest_of(&target), digest);
    assert!(!partial.exists());
    let moved = counted.moved.load(Ordering::Relaxed);
    let (out, into) = match way {
        Way::Down => (sent, moved),
        Way::Up => (moved, received),
    };
    let bound = size + kills * (CHUNK as u64 + WINDOW);
    println!(
        "{way:?}: {size} bytes, {killed} kills: {} bytes sent twice, {} received twice, {passed} passed both ways; \
         most allowed {}",
        out - size,
        into - size,
        bound - size
    );
    assert!(out <= bound, "{out} bytes were sent, of {size}");
    // What arrived is written before more is taken.
    let bound = size + kills * CHUNK as u64;
    assert!(into <= bound, "{into} bytes were received, of {size}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_survives_kills() {
    survives(Way::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_kills() {
    survives(Way::Up).await;
}
