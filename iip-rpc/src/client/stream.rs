use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use iip_core::conn::{CallReceiver, CallSender};
use iip_core::session::Chunk;
use tokio::task::AbortHandle;

use super::place::Placed;
use crate::Status;
use crate::body::BodyStream;
use crate::compression::Packing;
use crate::envelope;
use crate::stream::Frames;

/// Chunks of a request that are sent in one turn before others may run.
const TURN: usize = 64;

/// The frames of a response.
pub(super) struct Responses {
    frames: CallReceiver,
    endpoint: Arc<str>,
    /// Sends the requests, which nobody wants any more when the response is complete or given up.
    pump: Option<Pump>,
    /// The call is in flight at its endpoint until its response has ended.
    placed: Placed,
}

impl Responses {
    pub(super) fn new(
        frames: CallReceiver,
        endpoint: Arc<str>,
        pump: Option<Pump>,
        placed: Placed,
    ) -> Self {
        Self {
            frames,
            endpoint,
            pump,
            placed,
        }
    }

    /// Where the call was placed.
    pub(super) fn placed_mut(&mut self) -> &mut Placed {
        &mut self.placed
    }
}

impl Frames for Responses {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        let frame = ready!(self.frames.poll_frame(context));
        if !matches!(frame, Ok(Some(_))) {
            self.pump = None;
        }
        Poll::Ready(frame.map_err(|error| self.located(Status::from(error))))
    }

    fn consumed(&self, cost: usize) {
        self.frames.consumed(cost);
    }

    fn located(&self, status: Status) -> Status {
        let status = status.with_endpoint(Arc::clone(&self.endpoint));
        self.placed.located(status)
    }
}

/// A task that sends the requests of a call. Dropping this ends it.
pub(super) struct Pump(AbortHandle);

impl Pump {
    pub(super) fn start(
        mut call: CallSender,
        mut requests: Pin<Box<dyn BodyStream>>,
        packing: Option<Packing>,
    ) -> Self {
        let mut chunks = VecDeque::new();
        let task = tokio::spawn(async move {
            poll_fn(|context| {
                poll_pump(&mut call, requests.as_mut(), &mut chunks, packing, context)
            })
            .await;
            // Dropped in the middle, both halves end the request with CANCEL.
        });
        Self(task.abort_handle())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends messages until nothing is there or nothing may be sent. Ready when the request is complete, or need not be.
fn poll_pump(
    call: &mut CallSender,
    mut requests: Pin<&mut dyn BodyStream>,
    chunks: &mut VecDeque<Chunk>,
    packing: Option<Packing>,
    context: &mut Context<'_>,
) -> Poll<()> {
    for _ in 0..TURN {
        // What is not taken stays with the sender, which waits.
        if ready!(call.poll_ready(context)).is_err() {
            return Poll::Ready(());
        }
        if let Some(chunk) = chunks.pop_front() {
            let last = chunks.is_empty() && requests.is_over();
            if call.push(chunk, last).is_err() || last {
                return Poll::Ready(());
            }
            continue;
        }
        match ready!(requests.as_mut().poll_records(context)) {
            Some(Ok(batch)) => envelope::cut(batch, packing, chunks),
            Some(Err(_)) => return Poll::Ready(()),
            None => {
                let _ = call.push(Chunk::new(&[], Bytes::new()).costing(0), true);
                return Poll::Ready(());
            }
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}
