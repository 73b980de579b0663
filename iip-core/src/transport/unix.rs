use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

use super::io::PeerAddr;
use super::tcp::BACKLOG;

/// First and longest pause before a full accept queue is tried again. The kernel answers at once
/// when the queue of a Unix socket is full, where TCP would wait for us.
const QUEUE_RETRY_FIRST: Duration = Duration::from_millis(5);
const QUEUE_RETRY_MAX: Duration = Duration::from_millis(100);

/// Connects to the socket at `path`, waiting while its accept queue is full.
pub(crate) async fn connect(path: &Path) -> io::Result<(UnixStream, PeerAddr)> {
    let mut pause = QUEUE_RETRY_FIRST;
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => {
                let peer = peer_of(&stream)?;
                return Ok((stream, peer));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(pause).await;
                pause = (pause * 2).min(QUEUE_RETRY_MAX);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The process at the other end, as the kernel knows it.
pub(crate) fn peer_of(stream: &UnixStream) -> io::Result<PeerAddr> {
    let credentials = stream.peer_cred()?;
    Ok(PeerAddr::Unix {
        pid: credentials.pid(),
        uid: credentials.uid(),
        gid: credentials.gid(),
    })
}

/// A listening Unix socket that removes its file when it is dropped.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    // Declared before the socket, so that it is dropped first: see `FileId`.
    _file: SocketFile,
    listener: UnixListener,
}

impl UnixSocket {
    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

/// Removes the file when it is dropped, unless it is not this socket's any more because another
/// server has put its own there.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: FileId,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if FileId::of(&self.path).is_ok_and(|found| found == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the socket file");
        }
    }
}

/// Device and inode. The kernel keeps the inode of a bound socket until it is closed, so no other
/// file can get the same number while ours is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|file| Self(file.dev(), file.ino()))
    }
}

/// Listens on a new socket file at `path`. Runs inside a tokio runtime.
///
/// A socket file that nobody listens on (its server died) is removed first. Anything else there is
/// an error and stays. Who may connect is decided by the permissions of the folder, and of the
/// file, which follow the umask.
pub(crate) fn bind(path: &Path) -> io::Result<UnixSocket> {
    let socket = match bound(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            bound(path)?
        }
        other => other?,
    };
    // An absolute path still names the same file after the process has changed its folder.
    let file = SocketFile {
        id: FileId::of(path)?,
        path: std::path::absolute(path)?,
    };
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from_std(socket.into())?;
    Ok(UnixSocket {
        _file: file,
        listener,
    })
}

fn bound(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Removes the socket file at `path` if nobody listens on it.
///
/// Two servers that start on one path in the same moment can both pass the check; the file is
/// looked at again right before it is removed, which leaves that race a few microseconds.
fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |text: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, text.to_owned()));
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return in_use("a file that is not a socket is there; remove it or choose another path");
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking connect would wait while the other server's accept queue is full.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        // Connected, or its queue is full, or it is a socket of another type: somebody is there.
        _ => return in_use("another server listens there; stop it or choose another path"),
    }
    if FileId::of(path)? != FileId(found.dev(), found.ino()) {
        return in_use("another server has just begun to listen there");
    }
    fs::remove_file(path)
}
