use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::driver::now;
use super::shared::{ClientShared, ClientState, Failure};
use crate::error::{Error, ErrorKind, Outcome};
use crate::session::{CallId, Delivery, Format, MAX_CHUNK, OpenError, OpenOptions, Payload};
use crate::wire::Path;

/// Bytes a sending half may have queued before [`CallSender::send`] waits.
const SEND_AHEAD: usize = 2 * MAX_CHUNK;

/// How a call ended without a response.
#[derive(Debug)]
pub enum CallFailure {
    /// The connection takes no call now; nothing was sent, and the payload comes back for another connection.
    NotStarted(Payload),
    /// The call failed.
    Failed(Error),
}

/// A call: a request and the wait for its response.
///
/// Nothing happens before the first poll.
///
/// # Cancel safety
///
/// Dropping it gives the call up. What was not sent is withdrawn where that is possible; the response, when it
/// arrives, is read past. No other call is affected.
#[must_use = "a call does nothing until it is polled"]
pub struct CallFuture {
    shared: Arc<ClientShared>,
    stage: Stage,
}

enum Stage {
    Begin(Begin),
    Waiting(CallId),
    Done,
}

struct Begin {
    path: Path,
    format: Format,
    payload: Payload,
    deadline: Option<Instant>,
}

impl CallFuture {
    pub(super) fn new(
        shared: Arc<ClientShared>,
        path: Path,
        format: Format,
        payload: Payload,
        deadline: Option<Instant>,
    ) -> Self {
        let begin = Begin {
            path,
            format,
            payload,
            deadline,
        };
        Self {
            shared,
            stage: Stage::Begin(begin),
        }
    }
}

impl Future for CallFuture {
    type Output = Result<Bytes, CallFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match std::mem::replace(&mut this.stage, Stage::Done) {
            Stage::Begin(begin) => {
                let options = OpenOptions {
                    format: begin.format,
                    delivery: Delivery::Whole,
                    deadline: begin.deadline,
                    more: false,
                };
                let opened = open(
                    &this.shared,
                    &begin.path,
                    options,
                    begin.payload,
                    Some(cx.waker()),
                );
                match opened {
                    Ok(call) => {
                        this.stage = Stage::Waiting(call);
                        Poll::Pending
                    }
                    Err(failure) => Poll::Ready(Err(failure)),
                }
            }
            Stage::Waiting(call) => {
                let mut state = this.shared.lock();
                let slot = state.slots.entry(call.channel);
                if !slot.complete {
                    register(&mut slot.waker, cx.waker());
                    drop(state);
                    this.stage = Stage::Waiting(call);
                    return Poll::Pending;
                }
                let data = slot.received.pop_front();
                let failure = slot.failure.take();
                slot.complete = failure.is_none();
                let driver = release(&mut state, call);
                this.shared.publish(&state);
                let ended = failure
                    .is_some()
                    .then(|| state.session.ended().cloned())
                    .flatten();
                drop(state);
                wake(driver);
                Poll::Ready(match (failure, data) {
                    (None, Some(data)) => Ok(data),
                    (failure, _) => {
                        let failure = failure.unwrap_or(Failure::Ended { may_have_run: true });
                        Err(CallFailure::Failed(
                            this.shared.error(failure, ended.as_ref()),
                        ))
                    }
                })
            }
            Stage::Done => Poll::Pending,
        }
    }
}

impl Drop for CallFuture {
    fn drop(&mut self) {
        if let Stage::Waiting(call) = self.stage {
            abandon(&self.shared, call);
        }
    }
}

fn open(
    shared: &ClientShared,
    path: &Path,
    options: OpenOptions,
    payload: Payload,
    waker: Option<&Waker>,
) -> Result<CallId, CallFailure> {
    let mut state = shared.lock();
    // Only the first call after a pause asks how long the pause was.
    let at = match state.session.in_flight() {
        0 => now(),
        _ => state.last_read,
    };
    let opened = state.session.open(path, options, payload, at);
    if let Ok(call) = opened {
        state.opened += 1;
        let slot = state.slots.entry(call.channel);
        if let Some(waker) = waker {
            register(&mut slot.waker, waker);
        }
    }
    shared.publish(&state);
    let driver = state.driver.schedule();
    drop(state);
    wake(driver);
    let invalid = |text: &str| {
        let text = format!("{path}: {text}");
        CallFailure::Failed(Error::new(ErrorKind::Invalid, Outcome::NotSent, text))
    };
    opened.map_err(|error| match error {
        OpenError::NoChannel(payload) | OpenError::Closed(payload) => {
            CallFailure::NotStarted(payload)
        }
        OpenError::Empty => invalid("a request needs at least one byte of data"),
        OpenError::TooLarge => {
            invalid("a plain server takes requests of one frame of at most 16 MiB")
        }
    })
}

fn register(kept: &mut Option<Waker>, waker: &Waker) {
    match kept {
        Some(kept) => kept.clone_from(waker),
        None => *kept = Some(waker.clone()),
    }
}

/// Gives the channel back, and the slot with it.
fn release(state: &mut ClientState, call: CallId) -> Option<Waker> {
    let slot = state.slots.entry(call.channel);
    // Only a call that is given up before its answer needs the present time.
    let answered = slot.complete && slot.failure.is_none();
    slot.complete = false;
    slot.failure = None;
    slot.waker = None;
    slot.sender = None;
    slot.received.clear();
    slot.unread = 0;
    let at = if answered { state.last_read } else { now() };
    state.session.release(call, at);
    // One that is given up has a time limit, which the driver has to know.
    if !answered || state.session.has_output() || state.session.has_events() {
        state.driver.schedule()
    } else {
        None
    }
}

fn abandon(shared: &ClientShared, call: CallId) {
    let mut state = shared.lock();
    let driver = release(&mut state, call);
    shared.publish(&state);
    drop(state);
    wake(driver);
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Ends the call when both of its halves are gone.
struct Lease {
    shared: Arc<ClientShared>,
    call: CallId,
}

impl Drop for Lease {
    fn drop(&mut self) {
        abandon(&self.shared, self.call);
    }
}

/// The sending half of a raw call that goes on frame by frame.
///
/// Dropping it without [`finish`](Self::finish) leaves the request unfinished: its handler never sees its end, and
/// the server gives it up after its time limit.
pub struct CallSender {
    lease: Arc<Lease>,
    /// IIP has no empty frame, so that the piece given last is kept until it is known whether another follows.
    held: Option<Bytes>,
}

impl CallSender {
    /// Sends a piece of the request, in frames of at most 32 KiB. Empty pieces are skipped.
    ///
    /// # Errors
    ///
    /// The call is over: its response, which can be read, came early, or the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the piece was not sent; whether the one before was is not affected.
    pub async fn send(&mut self, data: Bytes) -> Result<(), Error> {
        if data.is_empty() {
            return Ok(());
        }
        self.ready().await?;
        if let Some(before) = self.held.replace(data) {
            self.push(before, false)?;
        }
        Ok(())
    }

    /// Sends the last piece and completes the request. `data` may be empty if something was sent before.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); also if there was nothing to send at all.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the request stays unfinished.
    pub async fn finish(mut self, data: Bytes) -> Result<(), Error> {
        self.ready().await?;
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

    fn push(&self, data: Bytes, last: bool) -> Result<(), Error> {
        let shared = &self.lease.shared;
        if data.is_empty() {
            let text = "a request needs at least one byte of data";
            return Err(Error::new(ErrorKind::Invalid, Outcome::Unknown, text));
        }
        let mut state = shared.lock();
        let sent = !state.closed
            && state
                .session
                .send(self.lease.call, Payload::Whole(data), last);
        let ended = state.session.ended().cloned();
        let driver = state.driver.schedule();
        drop(state);
        wake(driver);
        if sent {
            return Ok(());
        }
        if ended.is_none() {
            let text = "the call is over: its response came before the request was complete";
            return Err(Error::new(ErrorKind::Closed, Outcome::Unknown, text));
        }
        Err(shared.error(Failure::Ended { may_have_run: true }, ended.as_ref()))
    }

    /// Waits until little enough is queued.
    async fn ready(&self) -> Result<(), Error> {
        let Lease { shared, call } = &*self.lease;
        poll_fn(|cx| {
            let mut state = shared.lock();
            let over = state.closed || state.slots.entry(call.channel).complete;
            if over || state.session.unsent(*call) < SEND_AHEAD {
                return Poll::Ready(());
            }
            register(&mut state.slots.entry(call.channel).sender, cx.waker());
            Poll::Pending
        })
        .await;
        Ok(())
    }
}

/// The receiving half of a raw call that goes on frame by frame.
pub struct CallReceiver {
    lease: Arc<Lease>,
    done: bool,
}

impl CallReceiver {
    /// The next frame's data; `None` when the response is complete.
    ///
    /// # Errors
    ///
    /// The call failed. The frames before were still delivered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no frame.
    pub async fn frame(&mut self) -> Result<Option<Bytes>, Error> {
        if self.done {
            return Ok(None);
        }
        let Lease { shared, call } = &*self.lease;
        let result = poll_fn(|cx| {
            let mut state = shared.lock();
            let slot = state.slots.entry(call.channel);
            if let Some(data) = slot.received.pop_front() {
                slot.unread -= data.len();
                let driver = state.driver.schedule();
                drop(state);
                wake(driver);
                return Poll::Ready(Ok(Some(data)));
            }
            if let Some(failure) = slot.failure.take() {
                return Poll::Ready(Err(failure));
            }
            if slot.complete {
                return Poll::Ready(Ok(None));
            }
            register(&mut slot.waker, cx.waker());
            Poll::Pending
        })
        .await;
        match result {
            Ok(Some(data)) => Ok(Some(data)),
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(failure) => {
                self.done = true;
                let ended = shared.lock().session.ended().cloned();
                Err(shared.error(failure, ended.as_ref()))
            }
        }
    }
}

/// Begins a raw call whose request and response go frame by frame.
pub(super) fn open_frames(
    shared: &Arc<ClientShared>,
    path: &Path,
    first: Bytes,
    deadline: Option<Instant>,
) -> Result<(CallSender, CallReceiver), CallFailure> {
    let options = OpenOptions {
        format: Format::Raw,
        delivery: Delivery::Frames,
        deadline,
        more: true,
    };
    let call = open(shared, path, options, Payload::Whole(first), None)?;
    let lease = Arc::new(Lease {
        shared: Arc::clone(shared),
        call,
    });
    let sender = CallSender {
        lease: Arc::clone(&lease),
        held: None,
    };
    Ok((sender, CallReceiver { lease, done: false }))
}
