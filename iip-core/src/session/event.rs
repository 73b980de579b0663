use std::time::Instant;

use bytes::Bytes;

use super::channel::{CallId, Delivery, Format};
use crate::wire::Path;

/// What a server knows of a path before it looks at a request for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteInfo {
    /// The server's own number of the route.
    pub index: usize,
    /// What the data of a native peer's frames is.
    pub format: Format,
    /// How requests of several frames are handed over.
    pub delivery: Delivery,
    /// The largest message of a request, bytes, below what the connection accepts; for a typed method, before the records
    /// around it.
    pub max_message: Option<usize>,
}

/// Finds the route of a path. Pure: the same path has the same route for the life of a connection.
pub trait Lookup: Send + Sync {
    /// The route of `path`, which has no query; `None` answers the request with code 102.
    fn find(&self, path: &str) -> Option<RouteInfo>;
}

/// What happened on a server's connection.
#[derive(Debug)]
pub enum ServerEvent {
    /// A request to be answered: exactly one response is owed.
    Request {
        /// The call.
        call: CallId,
        /// [`RouteInfo::index`].
        route: usize,
        /// The path with its query; `None` for enveloped calls, whose path is the route's.
        path: Option<Path>,
        /// The data, or the first frame's; the records without the envelope if `enveloped`.
        data: Bytes,
        /// Whether the data is records: a typed method, called by a native peer.
        enveloped: bool,
        /// Whether this is the whole request. Otherwise [`Data`](Self::Data) follows.
        complete: bool,
        /// When its first frame was received.
        arrived: Instant,
    },
    /// A further frame of a request that is handed over frame by frame.
    Data {
        /// The call.
        call: CallId,
        /// The frame's data.
        data: Bytes,
        /// Whether the request is complete now.
        last: bool,
    },
    /// The deadline given to `set_deadline` has passed and no response was given.
    Expired {
        /// The call.
        call: CallId,
    },
    /// A message of the request that was begun did not arrive in time. No response was given yet, and none is needed from
    /// the handler: the call is over.
    Stalled {
        /// The call.
        call: CallId,
    },
    /// The client gave the call up. Its response is still owed, at once. A call of which there was no
    /// [`Request`](Self::Request) was given up before it was complete.
    Cancelled {
        /// The call.
        call: CallId,
        /// [`RouteInfo::index`].
        route: usize,
    },
    /// Little is left unsent of what the call's sender queued: it may go on.
    Writable {
        /// The call.
        call: CallId,
    },
}

/// What happened on a client's connection.
#[derive(Debug)]
pub enum ClientEvent {
    /// The peer is known, and calls may begin.
    Ready,
    /// A response, or a further frame of one.
    Response {
        /// The call.
        call: CallId,
        /// The data; the records without the envelope if the call is enveloped.
        data: Bytes,
        /// Whether the response is complete.
        last: bool,
    },
    /// The server refused the call below the envelope.
    Refused {
        /// The call.
        call: CallId,
        /// What it said.
        reply: super::control::ErrorReply,
    },
    /// The response is larger than this side accepts. What is left of it is read past.
    TooLarge {
        /// The call.
        call: CallId,
        /// The limit, bytes.
        limit: usize,
        /// Whether it is the limit of what is held for the whole connection (`receive_budget`), and not of one message.
        budget: bool,
    },
    /// The call's deadline has passed. It is still to be released.
    Expired {
        /// The call.
        call: CallId,
    },
    /// There is a free channel where there was none, or the server grants no more.
    Capacity,
    /// The server is stopping: no call may begin here any more.
    Draining,
    /// An abandoned call has been unanswered for long: this connection should be replaced.
    Stuck,
    /// Little is left unsent of what the call's sender queued: it may go on.
    Writable {
        /// The call.
        call: CallId,
    },
}
