use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iip_core::server::Peer;

use crate::cancellation::Scope;
use crate::{
    Cancellation, Compression, Extensions, Idempotency, Metadata, MetadataError, MetadataKey,
    MetadataValue, MethodDescriptor,
};

/// A message on its way to a method, and what travels with it.
///
/// Without metadata and extensions it is the message and a few words: nothing is allocated.
#[derive(Clone)]
pub struct Request<T> {
    message: T,
    metadata: Metadata,
    extensions: Extensions,
    compression: Compression,
    was_compressed: bool,
    idempotency: Option<Idempotency>,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    method: Option<&'static MethodDescriptor>,
    cancellation: Cancellation,
    /// The first metadata that a building call refused; the call fails with it.
    refused: Option<Box<MetadataError>>,
}

impl<T> Request<T> {
    /// A request with this message.
    pub fn new(message: T) -> Self {
        Self {
            message,
            metadata: Metadata::new(),
            extensions: Extensions::new(),
            compression: Compression::default(),
            was_compressed: false,
            idempotency: None,
            timeout: None,
            deadline: None,
            method: None,
            cancellation: Cancellation::default(),
            refused: None,
        }
    }

    /// Sets how long the call may take, from its start: picking a connection, connecting, queueing, sending and the
    /// method itself. Default: that of the channel. A call made inside a handler never outlives the handler's own.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the only value of a metadata key. A key or value that is not valid, or passes a limit of [`Metadata`],
    /// fails the call with `INVALID_ARGUMENT` before anything is sent; to see the error earlier, use
    /// [`metadata_mut`](Self::metadata_mut).
    #[must_use]
    pub fn with_metadata<K, V>(mut self, key: K, value: V) -> Self
    where
        K: TryInto<MetadataKey>,
        V: TryInto<MetadataValue>,
        MetadataError: From<K::Error> + From<V::Error>,
    {
        if let Err(error) = self.metadata.insert(key, value) {
            self.refused.get_or_insert_with(|| Box::new(error));
        }
        self
    }

    /// Sets whether the message is compressed on its way; default [`Compression::Auto`]. For a stream of requests it
    /// says so of each message, unless [`Sender::set_compression`](crate::Sender::set_compression) does.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Says what it means to run this call twice, whatever the `.proto` file and the channel say of its method: whether it
    /// may be [made again](crate::client::Retry) or [hedged](crate::client::Hedge).
    #[must_use]
    pub fn with_idempotency(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = Some(idempotency);
        self
    }

    /// In a handler: whether the message came compressed. Of the messages of a stream
    /// [`Streaming::was_compressed`](crate::Streaming::was_compressed) tells.
    pub fn was_compressed(&self) -> bool {
        self.was_compressed
    }

    /// The message.
    pub fn get_ref(&self) -> &T {
        &self.message
    }

    /// The message, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message, without what travels with it.
    pub fn into_inner(self) -> T {
        self.message
    }

    /// What travels beside the message.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What travels beside the message, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Values that stay in this process.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Values that stay in this process, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// When the call must have ended. In a handler it is what the caller asked for, or the server's default; `None` for
    /// plain callers and for those who asked for none.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The method that is called; `None` until the call starts.
    pub fn method(&self) -> Option<&'static MethodDescriptor> {
        self.method
    }

    /// Who called: the address of a TCP peer, or the process behind a Unix socket, its user, group and process id as
    /// the kernel knew them when it connected ([`PeerAddr`](crate::server::PeerAddr)). `None` without a connection:
    /// before a call, and in calls of a service in the same process.
    pub fn peer(&self) -> Option<&Peer> {
        self.cancellation.scope()?.peer().map(|peer| &**peer)
    }

    /// Tells work that the handler starts elsewhere when nobody waits for it any more. In a request that is not in a
    /// handler it never fires.
    pub fn cancellation(&self) -> Cancellation {
        self.cancellation.clone()
    }

    /// The same request with another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Request<U> {
        let (message, rest) = self.take();
        rest.give(f(message))
    }

    /// Takes the message out and keeps the rest.
    pub(crate) fn take(self) -> (T, Request<()>) {
        let rest = Request {
            message: (),
            metadata: self.metadata,
            extensions: self.extensions,
            compression: self.compression,
            was_compressed: self.was_compressed,
            idempotency: self.idempotency,
            timeout: self.timeout,
            deadline: self.deadline,
            method: self.method,
            cancellation: self.cancellation,
            refused: self.refused,
        };
        (self.message, rest)
    }

    /// What was said of this call, if anything was.
    pub(crate) fn own_idempotency(&self) -> Option<Idempotency> {
        self.idempotency
    }

    pub(crate) fn own_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub(crate) fn set_method(&mut self, method: &'static MethodDescriptor) {
        self.method = Some(method);
    }

    /// Makes it a request of the call that is in progress there.
    pub(crate) fn enter(&mut self, scope: &Arc<Scope>) {
        self.cancellation = scope.token();
    }

    pub(crate) fn scope(&self) -> Option<&Arc<Scope>> {
        self.cancellation.scope()
    }

    pub(crate) fn set_metadata(&mut self, metadata: Metadata) {
        self.metadata = metadata;
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    pub(crate) fn set_was_compressed(&mut self, was_compressed: bool) {
        self.was_compressed = was_compressed;
    }

    pub(crate) fn take_refused(&mut self) -> Option<Box<MetadataError>> {
        self.refused.take()
    }
}

impl Request<()> {
    /// Puts a message in.
    pub(crate) fn give<U>(self, message: U) -> Request<U> {
        Request {
            message,
            metadata: self.metadata,
            extensions: self.extensions,
            compression: self.compression,
            was_compressed: self.was_compressed,
            idempotency: self.idempotency,
            timeout: self.timeout,
            deadline: self.deadline,
            method: self.method,
            cancellation: self.cancellation,
            refused: self.refused,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method.map(MethodDescriptor::path))
            .field("message", &self.message)
            .field("metadata", &self.metadata)
            .field("extensions", &self.extensions)
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("peer", &self.peer())
            .finish()
    }
}

/// What a generated client method takes: a bare message, or a [`Request`] around it.
pub trait IntoRequest<T>: Send {
    /// The request.
    fn into_request(self) -> Request<T>;
}

impl<T: prost::Message> IntoRequest<T> for T {
    fn into_request(self) -> Request<T> {
        Request::new(self)
    }
}

impl<T: Send> IntoRequest<T> for Request<T> {
    fn into_request(self) -> Request<T> {
        self
    }
}
