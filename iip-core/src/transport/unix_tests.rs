use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::io::PeerAddr;
use super::unix::{bind, connect, peer_of};

/// An empty folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "iip-unix-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn raw_listener(path: &Path, backlog: i32) -> Socket {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
    socket.listen(backlog).unwrap();
    socket
}

#[tokio::test]
async fn both_ends_know_the_other_process() {
    let folder = Folder::new();
    let socket = bind(&folder.socket()).unwrap();
    let (near, server) = connect(&folder.socket()).await.unwrap();
    let (far, _) = socket.listener().accept().await.unwrap();
    let client = peer_of(&far).unwrap();
    assert_eq!(server, client);
    let PeerAddr::Unix { pid, uid, gid } = client else {
        panic!("{client:?}")
    };
    assert_eq!(pid, Some(std::process::id() as i32));
    let own = near.peer_cred().unwrap();
    assert_eq!((uid, gid), (own.uid(), own.gid()));
}

#[tokio::test]
async fn the_file_is_removed_on_drop() {
    let folder = Folder::new();
    let socket = bind(&folder.socket()).unwrap();
    assert!(folder.socket().exists());
    drop(socket);
    assert!(!folder.socket().exists());
}

#[tokio::test]
async fn a_file_that_is_not_ours_any_more_stays() {
    let folder = Folder::new();
    let first = bind(&folder.socket()).unwrap();
    fs::remove_file(folder.socket()).unwrap();
    let second = bind(&folder.socket()).unwrap();
    drop(first);
    assert!(folder.socket().exists());
    connect(&folder.socket()).await.unwrap();
    drop(second);
    assert!(!folder.socket().exists());
}

#[tokio::test]
async fn the_file_of_a_dead_server_is_replaced() {
    let folder = Folder::new();
    drop(raw_listener(&folder.socket(), 1));
    assert!(folder.socket().exists());
    let _socket = bind(&folder.socket()).unwrap();
    connect(&folder.socket()).await.unwrap();
}

#[tokio::test]
async fn a_live_server_is_left_alone() {
    let folder = Folder::new();
    let _live = bind(&folder.socket()).unwrap();
    let error = bind(&folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(
        error.to_string().contains("another server listens there"),
        "{error}"
    );
    connect(&folder.socket()).await.unwrap();
}

#[tokio::test]
async fn a_live_server_with_a_full_queue_is_left_alone() {
    let folder = Folder::new();
    let _live = raw_listener(&folder.socket(), 0);
    let _waiting = connect(&folder.socket()).await.unwrap();
    assert_eq!(
        bind(&folder.socket()).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
}

#[tokio::test]
async fn other_files_are_left_alone() {
    let folder = Folder::new();
    fs::write(folder.socket(), "precious").unwrap();
    let error = bind(&folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(fs::read_to_string(folder.socket()).unwrap(), "precious");

    let missing = folder.0.join("none").join("s");
    assert_eq!(bind(&missing).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn connecting_waits_for_a_place_in_the_queue() {
    let folder = Folder::new();
    let raw = raw_listener(&folder.socket(), 0);
    raw.set_nonblocking(true).unwrap();
    let listener = UnixListener::from_std(raw.into()).unwrap();
    let _first = connect(&folder.socket()).await.unwrap();
    let path = folder.socket();
    let second = tokio::spawn(async move { connect(&path).await });
    // Virtual time passes only while everybody waits: the second attempt has failed several times
    // by then.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!second.is_finished());
    listener.accept().await.unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_there() {
    let folder = Folder::new();
    assert_eq!(
        connect(&folder.socket()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    drop(raw_listener(&folder.socket(), 1));
    assert_eq!(
        connect(&folder.socket()).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}
