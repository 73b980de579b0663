use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, UnixListener, lookup_host};
use tokio::task::{unconstrained, yield_now};

use super::acceptor::{AcceptSource, AcceptStats, Acceptor};
use crate::transport::{
    Address, MemoryListener, PeerAddr, Place, Stream, TcpOptions, UnixSocket, bind_tcp, bind_unix,
    unix_peer,
};

/// A source of connections for a server: a TCP port, a Unix socket or a listener inside the
/// process.
///
/// It is made by [`bind`](Self::bind), or from a listener of the user's own: `tokio` and `std`
/// listeners of both kinds, and [`MemoryListener`].
///
/// Accepting never fails. A connection that is gone before it is accepted is skipped. When
/// descriptors or memory are short, accepting pauses (5 ms, doubling up to 1 s) and goes on by
/// itself; with each pause one waiting client is turned away by closing its connection, for which a
/// descriptor is kept in reserve. Dropping the listener closes it.
pub struct Listener {
    acceptor: Acceptor<Box<dyn AcceptSource>>,
    local: Option<Address>,
    /// Somebody else keeps it open too, who gave it this name.
    passed: Option<String>,
}

impl Listener {
    /// Listens on an address. `options` apply to TCP, and to the connections accepted.
    ///
    /// A host name is resolved and its first address taken. The file of a Unix socket on which
    /// nobody listens is replaced, and the file is removed when the listener is dropped. Runs
    /// inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// The error of the system, with the address and what to do in its message.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes whatever was begun.
    pub async fn bind(address: &Address, options: &TcpOptions) -> io::Result<Self> {
        Self::bound(address, options).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse if address.port().is_some() => {
                    "; another socket has the port: stop its owner, or choose port 0 for any free one"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "; no interface of this machine has the address: 0.0.0.0 or [::] means all of them"
                }
                io::ErrorKind::PermissionDenied if address.port().is_some() => {
                    "; ports below 1024 are for privileged processes: choose a larger one"
                }
                _ => "",
            };
            io::Error::new(error.kind(), format!("listen on {address}: {error}{advice}"))
        })
    }

    async fn bound(address: &Address, options: &TcpOptions) -> io::Result<Self> {
        match address.place() {
            Place::Ip(address) => Ok(Self::tcp(bind_tcp(*address, options)?, options.clone())),
            Place::Name { host, port } => {
                let first: Option<SocketAddr> = lookup_host((&**host, *port)).await?.next();
                let first = first.ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
                })?;
                Ok(Self::tcp(bind_tcp(first, options)?, options.clone()))
            }
            Place::Unix(path) => Ok(Self::new(
                BoundUnix(bind_unix(path)?),
                Some(address.clone()),
            )),
            Place::Memory(name) => MemoryListener::bind(name).map(Self::from),
        }
    }

    /// A TCP listener of the user's own, with the options for the connections accepted.
    pub fn tcp(listener: TcpListener, options: TcpOptions) -> Self {
        let local = listener.local_addr().ok().map(Address::from);
        Self::new(Tcp { listener, options }, local)
    }

    fn new(source: impl AcceptSource, local: Option<Address>) -> Self {
        Self {
            acceptor: Acceptor::new(Box::new(source)),
            local,
            passed: None,
        }
    }

    #[cfg(feature = "inherited")]
    pub(super) fn passed_as(self, name: &str) -> Self {
        Self {
            passed: Some(name.to_owned()),
            ..self
        }
    }

    /// The name that the service manager gave an inherited listener: `FileDescriptorName=` of its unit, or the unit's own.
    pub fn name(&self) -> Option<&str> {
        self.passed.as_deref().filter(|name| !name.is_empty())
    }

    /// Whether it is gone when this process closes it, with every connection that was not accepted.
    pub(super) fn closes(&self) -> bool {
        self.passed.is_none()
    }

    /// The address listened on, with the port that the system chose where it was 0. `None` for a
    /// Unix socket of the user's own that has no path.
    pub fn local_addr(&self) -> Option<&Address> {
        self.local.as_ref()
    }

    /// What was accepted and what went wrong so far.
    pub fn stats(&self) -> AcceptStats {
        self.acceptor.stats()
    }

    /// The next connection. After 64 of them without a pause it lets other tasks run first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost, and a pause that was begun is finished by the next call.
    pub async fn accept(&mut self) -> (Stream, PeerAddr) {
        poll_fn(|cx| self.acceptor.poll_accept(cx)).await
    }

    /// The next connection if one waits already: what a server still serves before it closes the
    /// listener, because the kernel has told those clients that they are connected. `None` when
    /// none waits, or during a pause.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost.
    pub async fn accept_waiting(&mut self) -> Option<(Stream, PeerAddr)> {
        for attempt in 0..2 {
            // Without the runtime's budget for this task, which would make the queue look empty
            // after many connections.
            let waiting = unconstrained(poll_fn(|cx| match self.acceptor.poll_accept(cx) {
                Poll::Ready(connection) => Poll::Ready(Some(connection)),
                Poll::Pending => Poll::Ready(None),
            }));
            if let Some(connection) = waiting.await {
                return Some(connection);
            }
            // The runtime may not have looked at the socket since the connection came, and every 64
            // connections the loop yields.
            if attempt == 0 {
                yield_now().await;
            }
        }
        None
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local", &self.local)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::tcp(listener, TcpOptions::default())
    }
}

/// Runs inside a tokio runtime.
impl TryFrom<std::net::TcpListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::from)
    }
}

/// The file of the socket is the user's: it is not removed.
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        let local = listener.local_addr().ok();
        let local = local
            .as_ref()
            .and_then(|local| local.as_pathname())
            .and_then(|path| Address::unix(path).ok());
        Self::new(Unix(listener), local)
    }
}

/// Runs inside a tokio runtime. The file of the socket is the user's: it is not removed.
impl TryFrom<std::os::unix::net::UnixListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Self::from)
    }
}

impl From<MemoryListener> for Listener {
    fn from(listener: MemoryListener) -> Self {
        let local = listener.address();
        Self::new(Memory(listener), Some(local))
    }
}

struct Tcp {
    listener: TcpListener,
    options: TcpOptions,
}

impl AcceptSource for Tcp {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>> {
        let (stream, peer) = ready!(self.listener.poll_accept(cx))?;
        self.options.apply(&stream);
        Poll::Ready(Ok((stream.into(), PeerAddr::Tcp(peer))))
    }
}

struct Unix(UnixListener);

impl AcceptSource for Unix {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>> {
        accept_unix(&self.0, cx)
    }
}

struct BoundUnix(UnixSocket);

impl AcceptSource for BoundUnix {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>> {
        accept_unix(self.0.listener(), cx)
    }
}

fn accept_unix(
    listener: &UnixListener,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(Stream, PeerAddr)>> {
    let (stream, _) = ready!(listener.poll_accept(cx))?;
    // Where credentials go with the connection, a client that has left again has none.
    let peer = unix_peer(&stream)
        .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
    Poll::Ready(Ok((stream.into(), peer)))
}

struct Memory(MemoryListener);

impl AcceptSource for Memory {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>> {
        self.0
            .poll_accept(cx)
            .map(|stream| Ok((stream.into(), PeerAddr::Memory)))
    }
}
