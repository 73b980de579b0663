use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use prost::Message;

use crate::envelope::{Batch, MessageBytes};
use crate::{Metadata, Status};

/// The messages of one side of a call, as a [`RpcService`](crate::RpcService) takes and returns them: one encoded
/// message, or a stream of them.
///
/// A unary method takes and returns one message; a streaming method a stream on the side that streams.
pub struct Body {
    kind: Kind,
}

pub(crate) enum Kind {
    /// One message.
    Message(MessageBytes),
    /// Any number of messages.
    Stream(Pin<Box<dyn BodyStream>>),
}

/// The messages of one side of a streaming call, pulled by whoever sends them on or decodes them. Dropping a stream
/// before its end gives the call up.
pub(crate) trait BodyStream: Send + 'static {
    /// The next messages together, as many as are there; `None` at the end of the side. After an error nothing follows.
    fn poll_records(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>>;

    /// The taker is done with messages of this cost, so that as many may come.
    fn consumed(self: Pin<&mut Self>, cost: usize) {
        let _ = cost;
    }

    /// Lets whoever makes the messages go on while nothing is taken. It registers the waker where it waits.
    fn poll_progress(self: Pin<&mut Self>, context: &mut Context<'_>) {
        let _ = context;
    }

    /// Whether it is known, without waiting, that the stream has ended well.
    fn is_over(&self) -> bool {
        false
    }

    /// What travels after the last message; asked once, after the end.
    fn trailers(self: Pin<&mut Self>) -> Metadata {
        Metadata::new()
    }

    /// Told to a request's stream when its call has begun: its caller may go on.
    fn begun(self: Pin<&mut Self>, callee: Callee) {
        let _ = callee;
    }
}

/// Who takes the messages of a request's stream.
#[derive(Clone, Default)]
pub(crate) struct Callee {
    /// Runs the method inside this process. Without it something else does, a task as a rule.
    pub(crate) drive: Option<Weak<dyn Drive>>,
    /// Largest message it takes, bytes.
    pub(crate) max_message: Option<usize>,
}

/// A method that runs inside this process whenever one of those who wait for it polls it.
pub(crate) trait Drive: Send + Sync {
    /// Lets the method go on, for the side that sends to it.
    fn drive(self: Arc<Self>, context: &mut Context<'_>);

    /// Stops the method: its caller has given it up.
    fn cancel(self: Arc<Self>);
}

impl Body {
    /// Encodes `message`.
    ///
    /// # Errors
    ///
    /// `INTERNAL` when the message cannot be encoded, which no generated message does.
    pub fn encode(message: &impl Message) -> Result<Self, Status> {
        MessageBytes::encode(message).map(Self::from_message)
    }

    /// Decodes the one message.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when the bytes are no such message, `INTERNAL` when this is a stream.
    pub fn decode<M: Message + Default>(self) -> Result<M, Status> {
        Ok(self.into_message()?.decode()?)
    }

    /// Whether this is a stream of messages.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }

    /// Length of the one encoded message, bytes; `None` for a stream.
    pub fn len(&self) -> Option<usize> {
        match &self.kind {
            Kind::Message(message) => Some(message.len()),
            Kind::Stream(_) => None,
        }
    }

    /// Whether this is one encoded message without bytes, which is how a message without any field set is encoded.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The one encoded message. Copies it when it came in several parts.
    ///
    /// # Errors
    ///
    /// `INTERNAL` when this is a stream.
    pub fn into_bytes(self) -> Result<Bytes, Status> {
        Ok(self.into_message()?.into_bytes())
    }

    /// The same message once more, sharing its bytes; `None` for a stream, which can be taken only once.
    pub fn try_clone(&self) -> Option<Self> {
        match &self.kind {
            Kind::Message(message) => Some(Self::from_message(message.clone())),
            Kind::Stream(_) => None,
        }
    }

    pub(crate) fn from_message(message: MessageBytes) -> Self {
        Self {
            kind: Kind::Message(message),
        }
    }

    pub(crate) fn from_stream(stream: impl BodyStream) -> Self {
        Self::from(Kind::Stream(Box::pin(stream)))
    }

    pub(crate) fn into_kind(self) -> Kind {
        self.kind
    }

    /// The one message.
    pub(crate) fn into_message(self) -> Result<MessageBytes, Status> {
        match self.kind {
            Kind::Message(message) => Ok(message),
            Kind::Stream(_) => Err(Status::internal(
                "there is a stream where there must be one message",
            )),
        }
    }

    /// The messages as a stream, also where it is one.
    pub(crate) fn into_stream(self) -> Pin<Box<dyn BodyStream>> {
        match self.kind {
            Kind::Message(message) => Box::pin(Once(Some(message))),
            Kind::Stream(stream) => stream,
        }
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind }
    }
}

impl From<Bytes> for Body {
    /// A body of a message that is encoded already.
    fn from(message: Bytes) -> Self {
        Self::from_message(MessageBytes::bare(message))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            Some(len) => write!(f, "Body({len} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

/// A stream of one message.
struct Once(Option<MessageBytes>);

impl BodyStream for Once {
    fn poll_records(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        Poll::Ready(self.0.take().map(|message| Ok(Batch::from(message))))
    }

    fn is_over(&self) -> bool {
        self.0.is_none()
    }
}
