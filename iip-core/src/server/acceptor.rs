use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::transport::{PeerAddr, Stream};

/// Connections accepted in one go before other tasks get their turn: a flood of connections must
/// not starve those already served by the same thread.
pub(super) const BATCH: u32 = 64;

/// First and longest pause after an error that says nothing about one connection. The first is
/// short because a descriptor is often free again at once; the longest keeps an exhausted server
/// idle and lets it notice within a second that it is well again.
pub(super) const PAUSE_FIRST: Duration = Duration::from_millis(5);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Errors of single connections in a row, without a connection between them, after which they are
/// no longer believed to be that: the loop then pauses instead of spinning.
const CONNECTION_ERRORS_MAX: u32 = BATCH;

/// Time between two log lines about failing accepts. During a shortage they would come 1 to 200
/// times a second.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Where connections come from. Tests put their own here.
pub(super) trait AcceptSource: Send + 'static {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>>;
}

impl<S: AcceptSource + ?Sized> AcceptSource for Box<S> {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>> {
        (**self).poll_accept(cx)
    }
}

/// What a listener has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptStats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that were gone or forbidden before they could be accepted (`ECONNABORTED` and
    /// the like).
    pub connection_errors: u64,
    /// Errors for want of descriptors or memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`).
    pub resource_errors: u64,
    /// Any other error.
    pub other_errors: u64,
    /// Connections accepted and closed at once for want of descriptors, so that the client knows.
    pub shed: u64,
    /// Pauses made after errors.
    pub pauses: u64,
}

/// What an accept error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AcceptError {
    /// One connection, already gone: the next one may be fine.
    Connection,
    /// The process or the system has no descriptor left.
    Descriptors,
    /// The system has no memory left for sockets.
    Memory,
    Other,
}

/// Error numbers for which the standard library has no stable kind. Where a platform counts
/// otherwise, the error is [`AcceptError::Other`], which is safe too: it only pauses.
mod errno {
    const LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const ENOBUFS: i32 = if LINUX { 105 } else { 55 };
    /// EPROTO, ENOPROTOOPT, EOPNOTSUPP, EHOSTDOWN, ENONET (Linux only).
    pub(super) const OF_A_CONNECTION: &[i32] = if LINUX {
        &[71, 92, 95, 112, 64]
    } else {
        &[100, 42, 102, 64]
    };
}

impl AcceptError {
    /// Sorts an error of `accept`. Linux reports errors of a connection that failed while it waited
    /// as errors of `accept` itself (see accept(2)); they must not be taken for errors of the
    /// listener.
    pub(super) fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.raw_os_error() {
            Some(errno::EMFILE | errno::ENFILE) => return Self::Descriptors,
            Some(errno::ENOBUFS) => return Self::Memory,
            Some(number) if errno::OF_A_CONNECTION.contains(&number) => return Self::Connection,
            _ => {}
        }
        match error.kind() {
            Kind::OutOfMemory => Self::Memory,
            Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::TimedOut
            | Kind::Interrupted
            // EPERM: a firewall rule forbids this connection.
            | Kind::PermissionDenied => Self::Connection,
            _ => Self::Other,
        }
    }
}

/// The accept loop's body: it survives every error, never spins, and shares its thread.
pub(super) struct Acceptor<S> {
    source: S,
    /// A descriptor to give away when there is none left, so that a waiting client can be told by
    /// closing its connection. `None` while it could not be taken back.
    spare: Option<File>,
    /// Results taken from the source since it was last empty or the task last yielded.
    taken: u32,
    /// Connection errors since the last connection.
    connection_errors: u32,
    /// Length of the next pause.
    pause: Duration,
    /// The pause being made. It is kept here and not in a future, so that a caller who drops the
    /// future and asks again does not skip it.
    pausing: Option<Pin<Box<Sleep>>>,
    log: LogLimit,
    stats: AcceptStats,
}

impl<S: AcceptSource> Acceptor<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            source,
            spare: spare(),
            taken: 0,
            connection_errors: 0,
            pause: PAUSE_FIRST,
            pausing: None,
            log: LogLimit::default(),
            stats: AcceptStats::default(),
        }
    }

    pub(super) fn stats(&self) -> AcceptStats {
        self.stats
    }

    /// The next connection. It never fails: whatever goes wrong is counted, logged and lived with.
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<(Stream, PeerAddr)> {
        loop {
            if let Some(pausing) = &mut self.pausing {
                ready!(pausing.as_mut().poll(cx));
                self.pausing = None;
                self.taken = 0;
            }
            if self.taken >= BATCH {
                self.taken = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.source.poll_accept(cx) {
                Poll::Pending => {
                    self.taken = 0;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(connection)) => {
                    self.taken += 1;
                    self.connection_errors = 0;
                    self.pause = PAUSE_FIRST;
                    self.stats.accepted += 1;
                    if self.spare.is_none() {
                        self.spare = spare();
                    }
                    return Poll::Ready(connection);
                }
                Poll::Ready(Err(error)) => {
                    self.taken += 1;
                    self.survive(&error, cx);
                }
            }
        }
    }

    fn survive(&mut self, error: &io::Error, cx: &mut Context<'_>) {
        match AcceptError::of(error) {
            AcceptError::Connection => {
                self.stats.connection_errors += 1;
                self.connection_errors += 1;
                if self.connection_errors < CONNECTION_ERRORS_MAX {
                    tracing::debug!(%error, "a connection failed before it could be accepted");
                    return;
                }
                self.connection_errors = 0;
                self.log.warn(
                    error,
                    "accept: connections fail one after the other before they are accepted",
                );
            }
            AcceptError::Descriptors => {
                self.stats.resource_errors += 1;
                self.shed(cx);
                self.log.warn(
                    error,
                    "accept: no file descriptors left; raise the limit (ulimit -n, \
                     LimitNOFILE=) or lower ConnectionLimits::total",
                );
            }
            AcceptError::Memory => {
                self.stats.resource_errors += 1;
                self.log.warn(
                    error,
                    "accept: no memory left for sockets; lower ConnectionLimits::total",
                );
            }
            AcceptError::Other => {
                self.stats.other_errors += 1;
                self.log.warn(error, "accept: the listener fails");
            }
        }
        self.stats.pauses += 1;
        self.pausing = Some(Box::pin(sleep(self.pause)));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Closes the connection that has waited longest, with the descriptor kept in reserve.
    /// Otherwise it would wait without a word for as long as the shortage lasts. The others keep
    /// their place in the queue.
    fn shed(&mut self, cx: &mut Context<'_>) {
        if self.spare.take().is_some()
            && let Poll::Ready(Ok(connection)) = self.source.poll_accept(cx)
        {
            drop(connection);
            self.stats.shed += 1;
        }
        // Another thread can have taken the descriptor meanwhile; then the next error or connection
        // tries again.
        self.spare = spare();
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Writes the first line at once and then one in ten seconds, which tells how many were left out.
#[derive(Debug, Default)]
struct LogLimit {
    next: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    fn warn(&mut self, error: &io::Error, text: &'static str) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            self.left_out += 1;
            return;
        }
        tracing::warn!(%error, left_out = self.left_out, "{text}");
        *self = Self {
            next: Some(now + LOG_EVERY),
            left_out: 0,
        };
    }
}
