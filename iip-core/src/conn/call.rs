use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use super::driver::now;
use super::shared::{ClientShared, ClientState, Failure};
use crate::error::{Error, ErrorKind, Outcome};
use crate::session::{CallId, Delivery, Format, OpenError, OpenOptions, Payload};
use crate::wire::Path;

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

pub(super) fn open(
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

pub(super) fn register(kept: &mut Option<Waker>, waker: &Waker) {
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

pub(super) fn abandon(shared: &ClientShared, call: CallId) {
    let mut state = shared.lock();
    // The other half has done so before; the slot may be another call's by now, which would wait for ever without it.
    if !state.session.is_current(call) {
        return;
    }
    let driver = release(&mut state, call);
    shared.publish(&state);
    drop(state);
    wake(driver);
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
