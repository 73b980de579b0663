use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::call::{CallFailure, abandon, open, register, wake};
use super::shared::{ClientShared, Failure};
use crate::error::{Error, ErrorKind, Outcome};
use crate::session::{
    CallId, Cancelled, Chunk, ClientSession, Delivery, Format, MIN_WINDOW, OpenOptions, Payload,
};
use crate::wire::Path;

/// So much credit is given back without waiting for the next frame to be taken: a quarter of the smallest window.
const CONSUMED_AT_ONCE: usize = MIN_WINDOW as usize / 4;

/// Ends the call when both of its halves are gone.
struct Lease {
    shared: Arc<ClientShared>,
    call: CallId,
    /// Whether frames carry records.
    enveloped: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        abandon(&self.shared, self.call);
    }
}

/// The sending half of a call that goes on frame by frame.
///
/// Raw data is given by [`send`](Self::send) and [`finish`](Self::finish), records by [`push`](Self::push).
///
/// Dropping it before the request is complete ends a request of records with CANCEL, so that it never looks complete.
/// A raw request stays unfinished: its handler never sees its end, and the server gives it up after its time limit.
pub struct CallSender {
    lease: Arc<Lease>,
    /// IIP has no empty frame, so that the piece given last is kept until it is known whether another follows.
    held: Option<Bytes>,
    complete: bool,
}

impl CallSender {
    /// Ready when there is room for a further piece of the request. It is kept for one that is given before this is
    /// ready, but then nothing bounds what is queued.
    ///
    /// # Errors
    ///
    /// The call is over: its response, which can be read, came early, the call was given up, or the connection is lost.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Lease { shared, call, .. } = &*self.lease;
        let mut state = shared.lock();
        let current = state.session.is_current(*call);
        if !current || state.closed || state.slots.entry(call.channel).complete {
            let ended = state.session.ended().cloned();
            drop(state);
            return Poll::Ready(Err(over(shared, ended.as_ref())));
        }
        if state.session.has_room(*call) {
            return Poll::Ready(Ok(()));
        }
        register(&mut state.slots.entry(call.channel).sender, cx.waker());
        Poll::Pending
    }

    /// Sends whole records, which cost at most [`PIECE`](crate::session::PIECE); `last` completes the request. What is
    /// pushed while the piece before still waits may share its frame. It waits until the peer has granted what it costs,
    /// so that a further part of a message must have nothing behind it: the peer grants no more than the rest of a
    /// message before that has come.
    ///
    /// # Errors
    ///
    /// As for [`poll_ready`](Self::poll_ready); also if the request was complete.
    pub fn push(&mut self, chunk: Chunk, last: bool) -> Result<(), Error> {
        debug_assert!(self.lease.enveloped);
        self.give(last, |session, call| session.push(call, chunk, last))
    }

    /// Gives the session a part of the request through `send`, which says whether the call takes it.
    fn give(
        &mut self,
        last: bool,
        send: impl FnOnce(&mut ClientSession, CallId) -> bool,
    ) -> Result<(), Error> {
        let Lease { shared, call, .. } = &*self.lease;
        let mut state = shared.lock();
        let sent = !state.closed && send(&mut state.session, *call);
        let ended = state.session.ended().cloned();
        let driver = state.driver.schedule();
        drop(state);
        wake(driver);
        if sent {
            self.complete |= last;
            return Ok(());
        }
        Err(over(shared, ended.as_ref()))
    }

    /// Ends a request of records before its time: the server is told, and answers CANCELLED. If nothing of it was sent
    /// yet, the receiving half fails at once.
    pub fn cancel(self) {
        drop(self);
    }

    /// Sends a piece of a raw request, in frames of at most 32 KiB. Empty pieces are skipped.
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
        self.ready().await;
        if let Some(before) = self.held.replace(data) {
            self.push_raw(before, false)?;
        }
        Ok(())
    }

    /// Sends the last piece of a raw request and completes it. `data` may be empty if something was sent before.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); also if there was nothing to send at all.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the request stays unfinished.
    pub async fn finish(mut self, data: Bytes) -> Result<(), Error> {
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

    fn push_raw(&mut self, data: Bytes, last: bool) -> Result<(), Error> {
        if data.is_empty() {
            let text = "a request needs at least one byte of data";
            return Err(Error::new(ErrorKind::Invalid, Outcome::Unknown, text));
        }
        self.give(last, |session, call| {
            session.send(call, Payload::Whole(data), last)
        })
    }

    /// Waits until little enough is queued, or the call is over.
    async fn ready(&mut self) {
        let _ = poll_fn(|cx| self.poll_ready(cx)).await;
    }
}

impl Drop for CallSender {
    fn drop(&mut self) {
        let Lease {
            shared,
            call,
            enveloped,
        } = &*self.lease;
        if self.complete || !enveloped {
            return;
        }
        let mut state = shared.lock();
        if state.closed {
            return;
        }
        let mut receiver = None;
        if state.session.cancel_request(*call) == Cancelled::Withdrawn {
            let slot = state.slots.entry(call.channel);
            slot.failure.get_or_insert(Failure::Withdrawn);
            slot.complete = true;
            receiver = slot.waker.take();
        }
        let driver = state.driver.schedule();
        drop(state);
        wake(driver);
        wake(receiver);
    }
}

/// Why nothing more can be sent.
fn over(shared: &ClientShared, ended: Option<&crate::session::Ended>) -> Error {
    if ended.is_none() {
        let text = "the call is over: its response came before the request was complete, or it was given up";
        return Error::new(ErrorKind::Closed, Outcome::Unknown, text);
    }
    shared.error(Failure::Ended { may_have_run: true }, ended)
}

/// The receiving half of a call that goes on frame by frame.
///
/// Dropping it gives a call of records up at once: the server is told. A raw call is given up when its sending half is
/// gone too.
pub struct CallReceiver {
    lease: Arc<Lease>,
    done: bool,
    /// Credit of what was consumed, of which the session does not know yet.
    consumed: AtomicUsize,
}

impl CallReceiver {
    /// The data of the next frame that has any: of a call of records, whole records. `None` when the response is
    /// complete.
    ///
    /// # Errors
    ///
    /// The call failed. The frames before were still delivered.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if self.done {
            return Poll::Ready(Ok(None));
        }
        let Lease { shared, call, .. } = &*self.lease;
        let consumed = std::mem::take(self.consumed.get_mut());
        let mut state = shared.lock();
        let mut driver = None;
        if consumed > 0 {
            let now = state.last_read;
            state.session.consumed(*call, consumed, now);
            if state.session.has_output() {
                driver = state.driver.schedule();
            }
        }
        let slot = state.slots.entry(call.channel);
        let polled = loop {
            if let Some(data) = slot.received.pop_front() {
                if data.is_empty() {
                    continue;
                }
                slot.unread -= data.len();
                break Poll::Ready(Ok(Some(data)));
            }
            if let Some(failure) = slot.failure.take() {
                break Poll::Ready(Err(failure));
            }
            if slot.complete {
                break Poll::Ready(Ok(None));
            }
            register(&mut slot.waker, cx.waker());
            break Poll::Pending;
        };
        self.done = matches!(polled, Poll::Ready(Ok(None) | Err(_)));
        let ended = match polled {
            Poll::Ready(Err(_)) => state.session.ended().cloned(),
            _ => None,
        };
        drop(state);
        wake(driver);
        polled.map_err(|failure| shared.error(failure, ended.as_ref()))
    }

    /// Says that messages which cost so much credit were consumed, so that the server may send as much again: their
    /// bytes, and [`MESSAGE_COST`](crate::session::MESSAGE_COST) for each.
    pub fn consumed(&self, cost: usize) {
        let before = self.consumed.fetch_add(cost, Ordering::Relaxed);
        if before.saturating_add(cost) < CONSUMED_AT_ONCE {
            return;
        }
        let Lease { shared, call, .. } = &*self.lease;
        let mut state = shared.lock();
        let now = state.last_read;
        let cost = self.consumed.swap(0, Ordering::Relaxed);
        state.session.consumed(*call, cost, now);
        let driver = match state.session.has_output() {
            true => state.driver.schedule(),
            false => None,
        };
        drop(state);
        wake(driver);
    }

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
        poll_fn(|cx| self.poll_frame(cx)).await
    }
}

impl Drop for CallReceiver {
    fn drop(&mut self) {
        if self.lease.enveloped {
            abandon(&self.lease.shared, self.lease.call);
        }
    }
}

/// Begins a call whose response is received frame by frame, and whose request goes on unless it is complete.
pub(super) fn open_frames(
    shared: &Arc<ClientShared>,
    path: &Path,
    format: Format,
    payload: Payload,
    complete: bool,
    deadline: Option<Instant>,
) -> Result<(CallSender, CallReceiver), CallFailure> {
    let options = OpenOptions {
        format,
        delivery: Delivery::Frames,
        deadline,
        more: !complete,
    };
    let call = open(shared, path, options, payload, None)?;
    let native = shared.server.get().is_some_and(|server| server.native);
    let lease = Arc::new(Lease {
        shared: Arc::clone(shared),
        call,
        enveloped: native && format == Format::Enveloped,
    });
    let sender = CallSender {
        lease: Arc::clone(&lease),
        held: None,
        complete,
    };
    let receiver = CallReceiver {
        lease,
        done: false,
        consumed: AtomicUsize::new(0),
    };
    Ok((sender, receiver))
}
