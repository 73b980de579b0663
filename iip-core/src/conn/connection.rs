use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::call::{CallFailure, CallFuture, wake};
use super::driver::{drive, now};
use super::halves::{CallReceiver, CallSender, open_frames};
use super::shared::{ClientEndpoint, ClientShared, FULL, Observer, ServerFacts};
use crate::session::{ClientConfig, ClientSession, Encodings, Ended, Format, Payload};
use crate::transport::Io;
use crate::wire::Path;

/// One client connection. Clones share it; it ends when it is lost, or after [`close`](Self::close) when every call has
/// its answer.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<ClientShared>,
}

impl Connection {
    /// Takes over a byte pipe that was just connected. The returned future is the connection's driver, to be spawned.
    pub(crate) fn start<T: Io>(
        io: T,
        config: ClientConfig,
        write_stall: Duration,
        endpoint: Arc<str>,
        observer: Arc<dyn Observer>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let max_unread = config.limits.receive_budget;
        let session = ClientSession::new(config, now());
        let shared = Arc::new(ClientShared::new(session, endpoint, observer));
        let driver = drive(
            io,
            ClientEndpoint::new(Arc::clone(&shared), write_stall, max_unread),
        );
        (Self { shared }, driver)
    }

    /// Begins a call with a whole request and a whole response. For [`Format::Enveloped`] the response is the records
    /// without the envelope, if the server [is native](Self::is_native), and raw data otherwise.
    #[inline]
    pub fn call(
        &self,
        path: &Path,
        format: Format,
        payload: Payload,
        deadline: Option<Instant>,
    ) -> CallFuture {
        let shared = Arc::clone(&self.shared);
        CallFuture::new(shared, path.clone(), format, payload, deadline)
    }

    /// Begins a call whose response is received frame by frame. Unless `complete`, its request goes on after `payload`;
    /// only native servers take such requests, plain ones read one frame.
    ///
    /// # Errors
    ///
    /// The connection takes no call now, or `payload` is empty and raw.
    pub fn open(
        &self,
        path: &Path,
        format: Format,
        payload: Payload,
        complete: bool,
        deadline: Option<Instant>,
    ) -> Result<(CallSender, CallReceiver), CallFailure> {
        open_frames(&self.shared, path, format, payload, complete, deadline)
    }

    /// Whether calls may begin: the server is known, and the connection is neither over nor being given up.
    pub fn is_usable(&self) -> bool {
        let state = self.shared.lock();
        state.session.profile().is_some()
            && state.session.ended().is_none()
            && !state.session.is_draining()
    }

    /// Whether the server has answered the hello or shown that it is plain.
    pub fn is_ready(&self) -> bool {
        self.shared.server.get().is_some()
    }

    /// Calls in flight; `None` if no call may begin now. Taken without the lock, so it may be late by a call.
    pub(crate) fn load(&self) -> Option<usize> {
        match self.shared.load.load(Ordering::Relaxed) {
            FULL => None,
            load => Some(load),
        }
    }

    /// Asks for more channels, where the server grants them one by one. False: there are no more.
    pub(crate) fn grow(&self) -> bool {
        let mut state = self.shared.lock();
        let more = state.session.want_channels();
        let driver = state.driver.schedule();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        more
    }

    /// Whether the server answered the hello.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.facts().is_some_and(|server| server.native)
    }

    /// The deadline the server gives to calls that carry none; `None` if it gives none, or is plain.
    #[inline]
    pub fn default_timeout(&self) -> Option<Duration> {
        self.facts().and_then(|server| server.timeout)
    }

    /// The largest message the server accepts, bytes.
    #[inline]
    pub fn max_message(&self) -> usize {
        self.facts().map_or(0, |server| server.max_message)
    }

    /// The encodings of compressed messages that the server reads.
    #[inline]
    pub fn encodings(&self) -> Encodings {
        self.facts()
            .map_or(Encodings::NONE, |server| server.encodings)
    }

    #[inline]
    fn facts(&self) -> Option<&ServerFacts> {
        self.shared.server.get()
    }

    /// Where the connection leads, for messages.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// Why the connection is over, if it is.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.lock().session.ended().cloned()
    }

    /// What calls hold of the connection now.
    pub fn usage(&self) -> Usage {
        let state = self.shared.lock();
        Usage {
            connections: 1,
            calls: state.session.in_flight(),
            abandoned: state.session.abandoned(),
            lent: state.session.lent(),
        }
    }

    /// Whether one of the two said that it takes no more calls here.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.shared.lock().session.is_dismissed()
    }

    /// Whether nothing more is said on it, and every call knows.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.lock().closed
    }

    /// Ends the connection at once: how many calls that cost.
    pub(crate) fn cut(&self) -> usize {
        let mut state = self.shared.lock();
        let calls = match state.session.ended() {
            None => state.session.in_flight(),
            Some(_) => 0,
        };
        state.session.end(Ended::Locally);
        let driver = state.driver.schedule();
        drop(state);
        wake(driver);
        calls
    }

    /// Takes no further call, and ends the connection when every call has its answer.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.session.close();
        let driver = state.driver.schedule();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// What calls hold of a client's connections at one moment. All but `connections` is 0 when no call is in progress and
/// every call that was given up has been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Connections on which calls may begin.
    pub connections: usize,
    /// Calls in progress, one channel each.
    pub calls: usize,
    /// Calls that were given up, and whose answer the server still owes: each keeps its channel until then
    /// (`docs/protocol.md`, section 4.1).
    pub abandoned: usize,
    /// Credit that is lent to responses beyond the windows they began with, bytes (section 13.2).
    pub lent: u64,
}

impl Usage {
    /// What two hold together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            calls: self.calls + other.calls,
            abandoned: self.abandoned + other.abandoned,
            lent: self.lent + other.lent,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.shared.endpoint)
            .finish_non_exhaustive()
    }
}
