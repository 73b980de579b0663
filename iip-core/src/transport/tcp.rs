use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until};

/// Idle time before the first probe. Middle boxes forget silent connections after minutes; a peer
/// whose machine is gone is noticed within half a minute at the cost of four small packets a
/// minute.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);

/// Time between two probes without an answer: far more than any round trip.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Probes without an answer before the connection is given up. One lost packet must not end a
/// connection.
const KEEP_ALIVE_PROBES: u32 = 3;

/// How long sent data may stay without an acknowledgement. The system's own limit is about 15
/// minutes, in which every call on the connection would wait. Linux applies it to keep-alive probes
/// too: a silent peer is gone after 20 s.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Connections that the kernel completes before they are accepted. The system's cap is
/// `net.core.somaxconn` (4096 today); 1024 covers the time of a long pause of the accept loop (1 s)
/// at 1000 new connections a second.
pub(crate) const BACKLOG: u32 = 1024;

/// Time that one address gets before the next is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Addresses of one name that one dial tries. A name with more of them is a job for the load
/// balancer.
const ADDRESSES_MAX: usize = 16;

/// Keep-alive of TCP: how the kernel notices that a silent peer has gone.
///
/// The default is a first probe after 15 s without traffic, then one every 5 s, and the end after 3
/// without an answer. Smaller values notice sooner and cost packets on idle connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepAlive {
    idle: Duration,
    interval: Duration,
    probes: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            idle: KEEP_ALIVE_IDLE,
            interval: KEEP_ALIVE_INTERVAL,
            probes: KEEP_ALIVE_PROBES,
        }
    }
}

impl KeepAlive {
    /// Time without traffic before the first probe: whole seconds from 1 s to 9 h, default 15 s.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = whole_seconds(idle);
        self
    }

    /// Time between probes: whole seconds from 1 s to 9 h, default 5 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = whole_seconds(interval);
        self
    }

    /// Probes without an answer before the connection ends: 1 to 127, default 3.
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes.clamp(1, 127);
        self
    }
}

/// The kernel counts keep-alive in whole seconds up to 32,767 and refuses the rest; values are
/// brought into its range.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().clamp(1, 32_767))
}

/// Options of TCP sockets, the same for those dialed and those accepted.
///
/// `TCP_NODELAY` is always set and has no setting: frames are gathered before they are written, so
/// waiting for more data in the kernel would only add delay. An option that the system refuses is
/// logged, and the connection goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    keep_alive: Option<KeepAlive>,
    user_timeout: Option<Duration>,
    backlog: u32,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            keep_alive: Some(KeepAlive::default()),
            user_timeout: Some(USER_TIMEOUT),
            backlog: BACKLOG,
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

impl TcpOptions {
    /// Keep-alive probes (`SO_KEEPALIVE`), or `None` for none. Default: [`KeepAlive::default`].
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: impl Into<Option<KeepAlive>>) -> Self {
        self.keep_alive = keep_alive.into();
        self
    }

    /// How long sent data may stay without an acknowledgement before the connection ends
    /// (`TCP_USER_TIMEOUT`, Linux only): at least 1 ms, `None` for the system's limit of about 15
    /// minutes. Default 20 s.
    ///
    /// A larger value rides out longer interruptions of the network, and calls on a dead connection
    /// wait longer.
    #[must_use]
    pub fn user_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.user_timeout = timeout
            .into()
            .map(|time| time.max(Duration::from_millis(1)));
        self
    }

    /// Connections that may wait to be accepted, for listeners only: at least 1, default 1024. The
    /// system's own cap (`net.core.somaxconn`) still applies.
    ///
    /// A larger value rides out larger bursts, and the last in the queue waits longer.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections.max(1);
        self
    }

    /// Size of the kernel's receive buffer in bytes (`SO_RCVBUF`). Not set by default: the kernel
    /// then adapts it to the connection, which a fixed size ends.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Size of the kernel's send buffer in bytes (`SO_SNDBUF`). Not set by default, for the reason
    /// given at [`receive_buffer`](Self::receive_buffer).
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Sets the options on a socket that will be or is connected.
    pub(crate) fn apply(&self, socket: &impl AsFd) {
        let socket = SockRef::from(socket);
        best_effort("TCP_NODELAY", socket.set_tcp_nodelay(true));
        if let Some(keep_alive) = &self.keep_alive {
            let params = TcpKeepalive::new()
                .with_time(keep_alive.idle)
                .with_interval(keep_alive.interval)
                .with_retries(keep_alive.probes);
            best_effort("SO_KEEPALIVE", socket.set_tcp_keepalive(&params));
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(timeout) = self.user_timeout {
            best_effort(
                "TCP_USER_TIMEOUT",
                socket.set_tcp_user_timeout(Some(timeout)),
            );
        }
        self.apply_buffers(&socket);
    }

    /// Buffer sizes decide about the window scale, which is fixed during the handshake: so they go
    /// on listeners too.
    fn apply_buffers(&self, socket: &SockRef<'_>) {
        if let Some(bytes) = self.receive_buffer {
            best_effort("SO_RCVBUF", socket.set_recv_buffer_size(bytes));
        }
        if let Some(bytes) = self.send_buffer {
            best_effort("SO_SNDBUF", socket.set_send_buffer_size(bytes));
        }
    }
}

fn best_effort(option: &'static str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(option, %error, "socket option refused, the connection goes on without it");
    }
}

/// Listens on one socket address. Runs inside a tokio runtime.
///
/// `SO_REUSEADDR` lets a server restart while connections of its predecessor are in TIME_WAIT.
/// `SO_REUSEPORT` is not set: with it, two servers started by mistake would share the port and
/// nobody would be told.
pub(crate) fn bind(address: SocketAddr, options: &TcpOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    options.apply_buffers(&SockRef::from(&socket));
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Connects to one socket address. Dropping the future closes the socket.
pub(crate) async fn connect(address: SocketAddr, options: &TcpOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    options.apply(&socket);
    let stream = socket.connect(address).await?;
    if met_itself(&stream) {
        return Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "nobody listens (the socket met itself)",
        ));
    }
    Ok(stream)
}

/// Whether a socket is connected to itself.
///
/// A client that dials a closed port of its own machine again and again is given that very port as
/// its own some day, and TCP then connects the socket to itself. It would talk to itself, and keep
/// the server from its port.
pub(super) fn met_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

/// The order in which the addresses of a name are tried: the families alternate, beginning with the
/// one that the resolver put first (RFC 8305, section 4), so that one broken family costs one step
/// and not all the time.
pub(crate) fn dial_order(resolved: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    for address in resolved {
        if !unique.contains(&address) {
            unique.push(address);
        }
        if unique.len() == 4 * ADDRESSES_MAX {
            break;
        }
    }
    let first_is_v4 = unique.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        unique.into_iter().partition(|a| a.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let step = [first.next(), second.next()];
        if step == [None, None] || order.len() >= ADDRESSES_MAX {
            order.truncate(ADDRESSES_MAX);
            return order;
        }
        order.extend(step.into_iter().flatten());
    }
}

/// Connects to the first of several addresses that answers.
///
/// Each address gets a head start of 250 ms over the next one, or less when it fails; those begun
/// stay in the race. `None` means that every address failed; the reasons are in `failures`, also
/// when the future is dropped.
pub(crate) async fn race<T, F>(
    addresses: &[SocketAddr],
    failures: &mut Vec<(SocketAddr, io::Error)>,
    mut start: impl FnMut(SocketAddr) -> F,
) -> Option<(T, SocketAddr)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.iter().copied();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut head_start = pin!(sleep_until(Instant::now()));
    poll_fn(move |cx| {
        loop {
            let mut failed = false;
            let mut index = 0;
            while let Some((address, attempt)) = running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Some((connected, *address))),
                    Poll::Ready(Err(error)) => {
                        failures.push((*address, error));
                        running.swap_remove(index);
                        failed = true;
                    }
                }
            }
            if waiting.len() == 0 {
                return if running.is_empty() {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            }
            if !failed && !running.is_empty() && head_start.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if let Some(address) = waiting.next() {
                running.push((address, Box::pin(start(address))));
                head_start
                    .as_mut()
                    .reset(Instant::now() + NEXT_ADDRESS_AFTER);
            }
        }
    })
    .await
}
