use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::handler_error::HandlerError;
use crate::session::{CallId, MAX_CHUNK, Payload};

/// Bytes a response may have queued before [`FrameSender::send`] waits.
const SEND_AHEAD: usize = 2 * MAX_CHUNK;

/// Frames of a request that its handler has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) frames: VecDeque<Bytes>,
    pub(super) complete: bool,
    pub(super) receiver: Option<Waker>,
    pub(super) sender: Option<Waker>,
}

/// A connection, as the halves of its calls see it.
pub(super) trait Link: Send + Sync {
    /// The next frame of a request.
    fn poll_frame(
        &self,
        call: CallId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HandlerError>>;

    /// Ready when less than `limit` bytes of the response are unsent, or nobody waits for it any more.
    fn poll_room(&self, call: CallId, limit: usize, cx: &mut Context<'_>) -> Poll<()>;

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
/// What is not taken is kept; when a connection's handlers leave 4 MiB lying, the connection is not read until they
/// take some.
#[derive(Debug)]
pub struct FrameReceiver {
    inbound: Option<Inbound>,
    first: Option<Bytes>,
}

impl FrameReceiver {
    pub(super) fn new(inbound: Option<Inbound>, first: Bytes) -> Self {
        Self {
            inbound,
            first: Some(first),
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
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Ok(Some(first));
        }
        let Some(Inbound { link, call }) = &self.inbound else {
            return Ok(None);
        };
        poll_fn(|cx| link.poll_frame(*call, cx)).await
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

    /// Sends a piece of the response. It goes out when the next piece is given or the response is finished. Empty
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
            Some(before) => self.push(before, false),
            None => Ok(()),
        }
    }

    /// Sends the last piece, which may be empty if another was sent before, and completes the response.
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
                self.push(before, false)?;
                data
            }
            (Some(before), true) => before,
            (None, _) => data,
        };
        self.push(last, true)
    }

    fn push(&self, data: Bytes, last: bool) -> Result<(), HandlerError> {
        self.begun.store(true, Ordering::Release);
        let Some(Inbound { link, call }) = &self.inbound else {
            return Ok(());
        };
        if link.send(*call, Payload::Whole(data), last) {
            Ok(())
        } else {
            Err(HandlerError::new("nobody waits for the response any more"))
        }
    }

    async fn ready(&self) {
        let Some(Inbound { link, call }) = &self.inbound else {
            return;
        };
        poll_fn(|cx| link.poll_room(*call, SEND_AHEAD, cx)).await;
    }
}
