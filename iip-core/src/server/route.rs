use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frames::{FrameReceiver, FrameSender, Inbound};
use super::placement::Placement;
use crate::session::{Delivery, Encodings, ErrorReply, Format, Lookup, Payload, RouteInfo};
use crate::transport::PeerAddr;
use crate::wire::Path;

/// What a server does with the requests of one path. Raw handlers and typed methods are both routes.
pub trait Route: Send + Sync + 'static {
    /// What the data of a native peer's requests and responses is.
    fn format(&self) -> Format;

    /// How requests of several frames are handed over.
    fn delivery(&self) -> Delivery;

    /// The largest message of a request, bytes: with it, less is set aside for a request than the server's `max_message`,
    /// which this does not raise. Default: none. Raw requests that are handed over frame by frame have no largest
    /// message.
    fn max_message(&self) -> Option<usize> {
        None
    }

    /// A place for calls to run in. Each connection makes one for each route it uses, and uses it for call after call;
    /// a call that is not finished at once takes it along into a task.
    fn runner(&self) -> Pin<Box<dyn Runner>>;

    /// The answer when the framework ends a call itself. `native`: to a native peer, in this route's format.
    fn failure(&self, failure: &Failure, native: bool) -> Payload;
}

/// Runs one call at a time: a future that can be filled again.
pub trait Runner: Future<Output = Reply> + Send {
    /// Takes the next call. The runner is polled only between this and its result.
    fn begin(self: Pin<&mut Self>, request: Incoming);

    /// The deadline of the call begun. Asked after a first poll that was pending.
    fn deadline(&self) -> Option<Instant>;
}

/// Who is at the other end of a server's connection.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Peer {
    /// Its address, or the credentials of a Unix peer, which are asked for once, when it connects.
    pub address: PeerAddr,
}

/// A request, as its route receives it.
#[derive(Debug)]
pub struct Incoming {
    pub(super) path: Option<Path>,
    pub(super) data: Bytes,
    pub(super) enveloped: bool,
    pub(super) native: bool,
    pub(super) encodings: Encodings,
    pub(super) arrived: Instant,
    pub(super) default_timeout: Option<Duration>,
    pub(super) peer: Arc<Peer>,
    pub(super) inbound: Option<Inbound>,
}

impl Incoming {
    /// The data: records without the envelope if [`is_enveloped`](Self::is_enveloped), the user's bytes otherwise. For
    /// a route that takes frames one by one, the first frame's.
    #[inline]
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// The data, see [`into_data`](Self::into_data).
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Whether the data is records: the route is enveloped, and the peer native.
    #[inline]
    pub fn is_enveloped(&self) -> bool {
        self.enveloped
    }

    /// Whether the peer said hello.
    #[inline]
    pub fn is_native(&self) -> bool {
        self.native
    }

    /// The encodings of compressed messages that the client reads.
    #[inline]
    pub fn encodings(&self) -> Encodings {
        self.encodings
    }

    /// When the request was read off the socket.
    #[inline]
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// The deadline of a call that carries none, from its arrival; `None` for plain peers, who set none.
    #[inline]
    pub fn default_timeout(&self) -> Option<Duration> {
        self.default_timeout.filter(|_| self.native)
    }

    /// The path with its query. For enveloped requests, whose path is the route's own, this is `/`.
    pub fn path(&self) -> &Path {
        static ROOT: Path = Path::ROOT;
        self.path.as_ref().unwrap_or(&ROOT)
    }

    /// Who sent it.
    #[inline]
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// A request without a connection, for tests of routes.
    pub fn detached(path: Path, data: Bytes, enveloped: bool, arrived: Instant) -> Self {
        Self {
            path: Some(path),
            data,
            enveloped,
            native: enveloped,
            encodings: Encodings::NONE,
            arrived,
            default_timeout: None,
            peer: Arc::new(Peer {
                address: PeerAddr::Memory,
            }),
            inbound: None,
        }
    }

    /// The two halves of a call whose route takes frames one by one. `self`'s path, peer and arrival are to be asked
    /// before.
    pub fn into_streams(mut self) -> (FrameReceiver, FrameSender) {
        self.take_frames()
    }

    pub(super) fn take_frames(&mut self) -> (FrameReceiver, FrameSender) {
        let inbound = self.inbound.take();
        let first = std::mem::take(&mut self.data);
        (
            FrameReceiver::new(inbound.clone(), first),
            FrameSender::new(inbound),
        )
    }
}

/// What a call comes to.
#[derive(Debug)]
pub struct Reply(pub(super) Option<Payload>);

impl Reply {
    /// The response was sent, and completed, frame by frame.
    pub fn sent() -> Self {
        Self(None)
    }

    /// The payload, unless a response was begun frame by frame.
    pub(super) fn unless_begun(payload: Payload, begun: &AtomicBool) -> Self {
        Self((!begun.load(Ordering::Acquire)).then_some(payload))
    }

    /// The whole response, or the last frame of a response of records that was begun; `None` if it was sent frame by frame.
    pub fn into_payload(self) -> Option<Payload> {
        self.0
    }
}

impl From<Payload> for Reply {
    #[inline]
    fn from(payload: Payload) -> Self {
        Self(Some(payload))
    }
}

/// Why the framework ends a call itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The deadline passed.
    Expired,
    /// A message of the request was begun and did not arrive in time.
    Stalled,
    /// The handler panicked.
    Panicked,
    /// The server's grace is over, and the handler was aborted.
    Aborted,
    /// The client gave the call up.
    Cancelled,
}

impl Failure {
    pub(super) fn reply(&self) -> ErrorReply {
        match self {
            Self::Expired => ErrorReply::new(ErrorReply::DEADLINE_EXCEEDED, "the deadline passed"),
            Self::Stalled => {
                let text = "the request did not arrive in time (assembly_timeout, assembly_stall)";
                ErrorReply::new(ErrorReply::DEADLINE_EXCEEDED, text)
            }
            Self::Panicked => ErrorReply::new(ErrorReply::NO_RESPONSE, "handle no response"),
            Self::Aborted => ErrorReply::new(
                ErrorReply::HANDLER_FAILED,
                "handler fail:the server stopped",
            ),
            Self::Cancelled => ErrorReply::new(
                ErrorReply::HANDLER_FAILED,
                "handler fail:the client gave the call up",
            ),
        }
    }
}

/// A route and how its handler has behaved so far.
pub(super) struct Entry {
    pub(super) route: Arc<dyn Route>,
    pub(super) placement: Placement,
    info: RouteInfo,
}

/// Every route of a server.
#[derive(Default)]
pub(super) struct Router {
    by_path: HashMap<String, usize>,
    pub(super) entries: Vec<Entry>,
    fallback: Option<usize>,
    /// Where the routes of the statistics paths begin, once there are any.
    statistics: Option<usize>,
}

impl Router {
    /// Adds a route. False: the path has one already.
    pub(super) fn add(&mut self, path: &Path, route: Arc<dyn Route>) -> bool {
        let path = path.path();
        if self.by_path.contains_key(path) {
            return false;
        }
        let index = self.push(route);
        self.by_path.insert(path.to_owned(), index);
        true
    }

    /// Whether the requests of a route are handed over frame by frame.
    pub(super) fn streams(&self, index: usize) -> bool {
        let entry = self.entries.get(index);
        entry.is_some_and(|entry| entry.info.delivery == Delivery::Frames)
    }

    pub(super) fn set_fallback(&mut self, route: Arc<dyn Route>) {
        self.fallback = Some(self.push(route));
    }

    /// What is added from here on answers the statistics paths.
    pub(super) fn begin_statistics(&mut self) {
        self.statistics = Some(self.entries.len());
    }

    fn is_statistics(&self, index: usize) -> bool {
        self.statistics.is_some_and(|first| index >= first)
    }

    /// The path of each route; `None` is the fallback's.
    pub(super) fn paths(&self) -> Vec<Option<String>> {
        let mut paths = vec![None; self.entries.len()];
        for (path, index) in &self.by_path {
            paths[*index] = Some(path.clone());
        }
        paths
    }

    /// The route that the user has registered for a path.
    pub(super) fn registered(&self, path: &str) -> Option<usize> {
        let index = self.by_path.get(path).copied()?;
        (!self.is_statistics(index)).then_some(index)
    }

    /// All paths that the user has registered, in order.
    pub(super) fn all_registered(&self) -> Vec<(&str, usize)> {
        let all = self
            .by_path
            .iter()
            .map(|(path, index)| (path.as_str(), *index));
        let mut all: Vec<_> = all
            .filter(|(_, index)| !self.is_statistics(*index))
            .collect();
        all.sort_unstable();
        all
    }

    fn push(&mut self, route: Arc<dyn Route>) -> usize {
        let index = self.entries.len();
        let info = RouteInfo {
            index,
            format: route.format(),
            delivery: route.delivery(),
            max_message: route.max_message(),
        };
        self.entries.push(Entry {
            route,
            placement: Placement::default(),
            info,
        });
        index
    }
}

/// The routes that one connection may use.
pub(super) struct Paths {
    pub(super) router: Arc<Router>,
    /// Whether its peer may ask for statistics.
    pub(super) statistics: bool,
}

impl Lookup for Paths {
    fn find(&self, path: &str) -> Option<RouteInfo> {
        let router = &self.router;
        let found = router.by_path.get(path).copied();
        let found = found.filter(|index| self.statistics || !router.is_statistics(*index));
        let index = found.or(router.fallback)?;
        router.entries.get(index).map(|entry| entry.info)
    }
}
