use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;

use bytes::{Buf, Bytes};
use iip_core::session::MESSAGE_COST;
use iip_core::wire::record::{RecordKind, decode_header};
use prost::{DecodeError, Message};
use tokio::task::coop::poll_proceed;

use super::Answered;
use crate::body::BodyStream;
use crate::envelope::Batch;
use crate::method::Largest;
use crate::{Body, Metadata, Response, Status};

/// What of the messages taken is told to the sending side at a time: often enough that it never waits for less.
pub(super) const REPORT: usize = 4 * 1024;

/// A call whose response has not begun.
pub(crate) type Calling = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

/// The receiving half of a stream: the requests in a streaming handler, or the responses at a caller.
///
/// Messages are decoded when they are taken. Whoever takes none holds the sender up, and only this one.
///
/// **Dropping a caller's stream before its end cancels the call.** For tests of handlers a stream can be made of
/// messages: `Streaming::from_iter([…])`, of messages or of results.
pub struct Streaming<T> {
    source: Source<T>,
    /// Closes the sender of the same call, once no response can come any more.
    requests: Option<Answered>,
    side: Side,
    largest: Largest,
    /// MESSAGE records that were received and not taken.
    records: Bytes,
    /// The cost of what was taken and not reported.
    unreported: usize,
    /// The last message taken came compressed.
    was_compressed: bool,
    metadata: Metadata,
    trailers: Metadata,
}

/// Whose messages a stream has, which decides whose fault it is when they cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

enum Source<T> {
    Calling(Calling),
    Stream(Pin<Box<dyn BodyStream>>),
    Items(IntoIter<Result<T, Status>>),
    Ended,
}

impl<T> Streaming<T> {
    fn of(source: Source<T>, side: Side) -> Self {
        Self {
            source,
            requests: None,
            side,
            largest: Largest::default(),
            records: Bytes::new(),
            unreported: 0,
            was_compressed: false,
            metadata: Metadata::new(),
            trailers: Metadata::new(),
        }
    }

    /// The messages of a body.
    pub(crate) fn of_body(stream: Pin<Box<dyn BodyStream>>, side: Side) -> Self {
        Self::of(Source::Stream(stream), side)
    }

    /// The messages of a response that has not begun.
    pub(crate) fn calling(call: Calling, requests: Answered) -> Self {
        Self {
            requests: Some(requests),
            ..Self::of(Source::Calling(call), Side::Response)
        }
    }

    pub(crate) fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    pub(crate) fn with_largest(mut self, largest: Largest) -> Self {
        self.largest = largest;
        self
    }

    /// What the other side sent ahead of its first message. Empty until that message was taken, in a call of a
    /// bidirectional method; in a handler it is the request's metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether the last message that was taken came compressed; false before the first.
    pub fn was_compressed(&self) -> bool {
        self.was_compressed
    }

    /// What the other side sent after its last message. Empty before the end; a status has its own.
    pub fn trailers(&self) -> &Metadata {
        &self.trailers
    }
}

impl<T: Message + Default> Streaming<T> {
    /// The next message; `None` when the other side has sent its last.
    ///
    /// # Errors
    ///
    /// The status the call ended with. A message that cannot be decoded, or is larger than accepted, is one too. An error
    /// comes once and nothing follows it: the next call says `None`, so that a loop that goes on after errors ends.
    /// `None` therefore means that all has come only where no error came before it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no message.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|context| self.poll_message(context)).await
    }

    /// [`message`](Self::message) for those who poll.
    ///
    /// # Errors
    ///
    /// As for [`message`](Self::message).
    pub fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<T>, Status>> {
        loop {
            if !self.records.is_empty() {
                return Poll::Ready(self.decode_next().map(Some));
            }
            // A stream that always has something must not keep a thread from everything else.
            let turn = ready!(poll_proceed(context));
            match &mut self.source {
                Source::Stream(stream) => match ready!(stream.as_mut().poll_records(context)) {
                    Some(Ok(Batch::Records { records, .. })) => {
                        turn.made_progress();
                        self.records = records;
                        self.was_compressed = false;
                    }
                    Some(Ok(Batch::Message(message, _))) => {
                        turn.made_progress();
                        self.was_compressed = message.was_compressed();
                        let cost = message.cost();
                        let decoded = match self.largest.check(|| message.len()) {
                            Ok(()) => Ok(message.decode()),
                            Err(status) => Err(status),
                        };
                        stream.as_mut().consumed(cost);
                        return Poll::Ready(self.checked(decoded).map(Some));
                    }
                    Some(Err(status)) => return Poll::Ready(Err(self.failed(status))),
                    None => {
                        self.trailers = stream.as_mut().trailers();
                        self.end();
                    }
                },
                Source::Calling(call) => match ready!(call.as_mut().poll(context)) {
                    Ok(response) => {
                        let (body, mut response) = response.take();
                        self.metadata = std::mem::take(response.metadata_mut());
                        self.source = Source::Stream(body.into_stream());
                    }
                    Err(status) => return Poll::Ready(Err(self.failed(status))),
                },
                Source::Items(items) => {
                    let next = items.next().transpose();
                    return Poll::Ready(next.map_err(|status| self.failed(status)));
                }
                Source::Ended => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// The first of the records at hand.
    fn decode_next(&mut self) -> Result<T, Status> {
        let (len, header) = match decode_header(&self.records) {
            Ok(Some((RecordKind::MESSAGE, len, header))) => {
                (usize::try_from(len).unwrap_or(usize::MAX), header)
            }
            // Whoever made the batch has checked it.
            _ => (0, self.records.len()),
        };
        self.records.advance(header.min(self.records.len()));
        let decoded = match self.largest.check(|| len) {
            Ok(()) => Ok(T::decode((&mut self.records).take(len))),
            Err(status) => Err(status),
        };
        self.unreported += len + MESSAGE_COST;
        if (self.unreported >= REPORT || self.records.is_empty())
            && let Source::Stream(stream) = &mut self.source
        {
            stream
                .as_mut()
                .consumed(std::mem::take(&mut self.unreported));
        }
        self.checked(decoded)
    }

    fn checked(&mut self, decoded: Result<Result<T, DecodeError>, Status>) -> Result<T, Status> {
        let status = match decoded {
            Ok(Ok(message)) => return Ok(message),
            Ok(Err(error)) => match self.side {
                Side::Request => Status::from(error),
                Side::Response => {
                    Status::internal(format!("a response cannot be decoded: {error}"))
                        .with_source(Arc::new(error) as Arc<_>)
                        .with_phase("decode")
                }
            },
            Err(status) => status.with_phase("decode"),
        };
        Err(self.failed(status))
    }

    /// Nothing follows an error; dropping the source gives the call up if it is not over.
    fn failed(&mut self, status: Status) -> Status {
        self.end();
        self.records = Bytes::new();
        status
    }

    fn end(&mut self) {
        self.source = Source::Ended;
        self.requests = None;
    }
}

/// Messages are moved, never pinned.
impl<T> Unpin for Streaming<T> {}

impl<T> FromIterator<T> for Streaming<T> {
    fn from_iter<I: IntoIterator<Item = T>>(messages: I) -> Self {
        messages.into_iter().map(Ok).collect()
    }
}

/// A stream that fails, or ends, where the results do.
impl<T> FromIterator<Result<T, Status>> for Streaming<T> {
    fn from_iter<I: IntoIterator<Item = Result<T, Status>>>(results: I) -> Self {
        let items: Vec<_> = results.into_iter().collect();
        Self::of(Source::Items(items.into_iter()), Side::Request)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("side", &self.side)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
