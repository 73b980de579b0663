use std::any::Any;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What a connection needs of its byte pipe. Every type that can do it has this trait.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A connected byte pipe of any transport.
///
/// Dropping it closes the connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection of a Unix socket.
    Unix(UnixStream),
    /// A connection inside this process.
    Memory(DuplexStream),
}

/// Runs one expression on the transport that a [`Stream`] holds.
macro_rules! on_transport {
    ($stream:expr, $io:ident => $do:expr) => {
        match $stream {
            Stream::Tcp($io) => $do,
            Stream::Unix($io) => $do,
            Stream::Memory($io) => $do,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_transport!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_transport!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_transport!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        on_transport!(self, io => io.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_transport!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}

/// Has the kernel acknowledge what arrives at once, for as long as it sees fit, if the pipe is a [`Stream`] of TCP.
///
/// Between calls it waits up to 40 ms for an answer that could carry the acknowledgement. A peer with a small send buffer
/// (the reference's have 16 KiB) sends nothing meanwhile, and a large frame takes it longer than it gives itself.
pub(crate) fn acknowledge_at_once(io: &dyn Any) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(Stream::Tcp(stream)) = io.downcast_ref() {
        // An option of speed: nothing is wrong without it.
        let _ = stream.set_quickack(true);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = io;
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<DuplexStream> for Stream {
    fn from(stream: DuplexStream) -> Self {
        Self::Memory(stream)
    }
}

/// Who is at the other end of a connection, as far as the transport knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddr {
    /// The address of a TCP peer.
    Tcp(SocketAddr),
    /// The process at the other end of a Unix socket, as the kernel saw it when it connected (or
    /// listened).
    #[non_exhaustive]
    Unix {
        /// Process id; `None` where the system does not tell it.
        pid: Option<i32>,
        /// Effective user id.
        uid: u32,
        /// Effective group id.
        gid: u32,
    },
    /// This same process.
    Memory,
}

impl PeerAddr {
    /// The IP address of a TCP peer. An IPv4 client of an IPv6 listener has its IPv4 address here,
    /// not the mapped form, so that one machine is always one address.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix { .. } | Self::Memory => None,
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix {
                pid: Some(pid),
                uid,
                gid,
            } => write!(f, "unix(pid {pid}, uid {uid}, gid {gid})"),
            Self::Unix {
                pid: None,
                uid,
                gid,
            } => write!(f, "unix(uid {uid}, gid {gid})"),
            Self::Memory => f.write_str("memory"),
        }
    }
}
