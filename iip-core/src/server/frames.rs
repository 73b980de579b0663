use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::handler_error::HandlerError;
use crate::session::{CallId, Chunk, MIN_WINDOW, Payload};

/// So much credit is given back without waiting for the next frame to be taken: a quarter of the smallest window.
const CONSUMED_AT_ONCE: usize = MIN_WINDOW as usize / 4;

/// Frames of a request that its handler has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) frames: VecDeque<Bytes>,
    pub(super) complete: bool,
    /// Credit bounds what lies here.
    pub(super) covered: bool,
    pub(super) receiver: Option<Waker>,
    pub(super) sender: Option<Waker>,
    /// Wakes whoever waits for the call to be over.
    pub(super) closed: Option<Waker>,
}

impl Inbox {
    /// Everybody who waits for something of the call.
    pub(super) fn take_wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let wakers = [self.receiver.take(), self.sender.take(), self.closed.take()];
        wakers.into_iter().flatten()
    }

    /// Bytes that lie here and that no credit bounds.
    pub(super) fn unread(&self) -> usize {
        match self.covered {
            true => 0,
            false => self.frames.iter().map(Bytes::len).sum(),
        }
    }
}

/// A connection, as the halves of its calls see it.
pub(super) trait Link: Send + Sync {
    /// The next frame of a request, after messages that cost so much credit were consumed.
    fn poll_frame(
        &self,
        call: CallId,
        consumed: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HandlerError>>;

    /// Messages that cost so much credit were consumed.
    fn consumed(&self, call: CallId, cost: usize);

    /// Ready when there is room for a further piece of the response; false when nobody waits for it any more.
    fn poll_room(&self, call: CallId, cx: &mut Context<'_>) -> Poll<bool>;

    /// Ready when nobody waits for the response any more.
    fn poll_closed(&self, call: CallId, cx: &mut Context<'_>) -> Poll<()>;

    /// Sends a piece of a response of records; false if nobody waits for it any more.
    fn push(&self, call: CallId, chunk: Chunk, last: bool) -> bool;

    /// Sends a part of the response; false if nobody waits for it any more.
    fn send(&self, call: CallId, payload: Payload, last: bool) -> bool;
}

/// What ties the two halves of a call to its connection.
#[derive(Clone)]
pub(super) struct Inbound {
    pub(super) link: Arc<dyn Link>,
    pub(super) call: CallId,
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inbound").field(&self.call).finish()
    }
}

/// The frames of a request, as they arrive.
///
/// What is not taken is kept. Of a request of records, credit bounds how much that can be: its client waits until it is
/// [`consumed`](Self::consumed). When a connection's handlers leave 4 MiB of raw requests lying, the connection is not
/// read until they take some.
#[derive(Debug)]
pub struct FrameReceiver {
    inbound: Option<Inbound>,
    first: Option<Bytes>,
    /// Credit of what was consumed, of which the session does not know yet.
    consumed: AtomicUsize,
}

impl FrameReceiver {
    pub(super) fn new(inbound: Option<Inbound>, first: Bytes) -> Self {
        Self {
            inbound,
            first: Some(first),
            consumed: AtomicUsize::new(0),
        }
    }

    /// The data of the next frame that has any: of a request of records, whole records. `None` when the request is
    /// complete.
    ///
    /// # Errors
    ///
    /// As for [`frame`](Self::frame).
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HandlerError>> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Poll::Ready(Ok(Some(first)));
        }
        match &self.inbound {
            Some(Inbound { link, call }) => {
                let consumed = std::mem::take(self.consumed.get_mut());
                link.poll_frame(*call, consumed, cx)
            }
            None => Poll::Ready(Ok(None)),
        }
    }

    /// Says that messages which cost so much credit were consumed, so that the client may send as much again: their
    /// bytes, and [`MESSAGE_COST`](crate::session::MESSAGE_COST) for each.
    pub fn consumed(&self, cost: usize) {
        let before = self.consumed.fetch_add(cost, Ordering::Relaxed);
        if before.saturating_add(cost) < CONSUMED_AT_ONCE {
            return;
        }
        if let Some(Inbound { link, call }) = &self.inbound {
            link.consumed(*call, self.consumed.swap(0, Ordering::Relaxed));
        }
    }

    /// The next frame's data; `None` when the request is complete.
    ///
    /// # Errors
    ///
    /// The connection is lost, or the response was completed before the request, so that the rest will not come.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no frame.
    pub async fn frame(&mut self) -> Result<Option<Bytes>, HandlerError> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// The rest of the request as one piece, at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// The request is larger, or the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// What was taken before the future is dropped is lost.
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, HandlerError> {
        let mut data = bytes::BytesMut::new();
        while let Some(frame) = self.frame().await? {
            if data.len() + frame.len() > limit {
                return Err(HandlerError::new(format!(
                    "the request is larger than {limit} bytes"
                )));
            }
            data.extend_from_slice(&frame);
        }
        Ok(data.freeze())
    }
}

/// The response of a call, sent piece by piece.
///
/// Dropped without [`finish`](Self::finish) after something was sent, the response stays unfinished.
#[derive(Debug)]
pub struct FrameSender {
    inbound: Option<Inbound>,
    begun: Arc<AtomicBool>,
    /// IIP has no empty frame, so that the piece given last is kept until it is known whether another follows.
    held: Option<Bytes>,
}

impl FrameSender {
    pub(super) fn new(inbound: Option<Inbound>) -> Self {
        Self {
            inbound,
            begun: Arc::default(),
            held: None,
        }
    }

    pub(super) fn watch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.begun)
    }

    /// Ready when there is room for a further piece of the response.
    ///
    /// # Errors
    ///
    /// Nobody waits for the response any more.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        match &self.inbound {
            Some(Inbound { link, call }) => match link.poll_room(*call, cx) {
                Poll::Ready(true) => Poll::Ready(Ok(())),
                Poll::Ready(false) => Poll::Ready(Err(unwanted())),
                Poll::Pending => Poll::Pending,
            },
            None => Poll::Ready(Ok(())),
        }
    }

    /// Ready when nobody waits for the response any more: it is complete, or the call was given up.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.inbound {
            Some(Inbound { link, call }) => link.poll_closed(*call, cx),
            None => Poll::Pending,
        }
    }

    /// Sends whole records, which cost at most [`PIECE`](crate::session::PIECE); `last` completes the response. What is
    /// pushed while the piece before still waits may share its frame. It waits until the peer has granted what it costs,
    /// so that a further part of a message must have nothing behind it: the peer grants no more than the rest of a
    /// message before that has come.
    ///
    /// # Errors
    ///
    /// Nobody waits for the response any more.
    pub fn push(&mut self, chunk: Chunk, last: bool) -> Result<(), HandlerError> {
        self.begun.store(true, Ordering::Release);
        match &self.inbound {
            Some(Inbound { link, call }) if !link.push(*call, chunk, last) => Err(unwanted()),
            _ => Ok(()),
        }
    }

    /// Sends a piece of a raw response. It goes out when the next piece is given or the response is finished. Empty
    /// pieces are skipped.
    ///
    /// # Errors
    ///
    /// Nobody waits for the response any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the piece was not taken.
    pub async fn send(&mut self, data: Bytes) -> Result<(), HandlerError> {
        if data.is_empty() {
            return Ok(());
        }
        self.ready().await;
        match self.held.replace(data) {
            Some(before) => self.push_raw(before, false),
            None => Ok(()),
        }
    }

    /// Sends the last piece of a raw response, which may be empty if another was sent before, and completes the response.
    ///
    /// # Errors
    ///
    /// Nobody waits for the response any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the response stays unfinished.
    pub async fn finish(mut self, data: Bytes) -> Result<(), HandlerError> {
        self.ready().await;
        let last = match (self.held.take(), data.is_empty()) {
            (Some(before), false) => {
                self.push_raw(before, false)?;
                data
            }
            (Some(before), true) => before,
            (None, _) => data,
        };
        self.push_raw(last, true)
    }

    fn push_raw(&self, data: Bytes, last: bool) -> Result<(), HandlerError> {
        self.begun.store(true, Ordering::Release);
        let Some(Inbound { link, call }) = &self.inbound else {
            return Ok(());
        };
        if link.send(*call, Payload::Whole(data), last) {
            Ok(())
        } else {
            Err(unwanted())
        }
    }

    async fn ready(&mut self) {
        // Whether anybody waits is said when the piece is sent.
        let _ = poll_fn(|cx| self.poll_ready(cx)).await;
    }
}

fn unwanted() -> HandlerError {
    HandlerError::new("nobody waits for the response any more")
}
