use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::AbortHandle;

use super::books::Books;
use super::frames::{Inbox, Link};
use super::gate::{Gate, Refusal};
use super::handler_error::HandlerError;
use super::route::{Incoming, Paths, Peer, Router};
use super::waiting::Ticket;
use crate::conn::{Alarm, now};
use crate::session::{CallId, Chunk, Criticality, Payload, Refusing, ServerSession};

/// What all connections of a server share.
pub(super) struct ServerCore {
    pub(super) router: Arc<Router>,
    pub(super) default_timeout: Option<Duration>,
    pub(super) run_limit: Duration,
    pub(super) write_stall: Duration,
    pub(super) gate: Gate<WaitingCall>,
    pub(super) max_abandoned: usize,
    pub(super) max_unread: usize,
    /// Most bytes held in unfinished and queued messages, over all connections, and how many there are.
    pub(super) receive_budget: usize,
    pub(super) held: AtomicUsize,
    /// What a drain has cut short.
    pub(super) cut_calls: AtomicUsize,
    pub(super) cut_streams: AtomicUsize,
    pub(super) books: Books,
}

impl ServerCore {
    /// Counts refusals.
    pub(super) fn refused(&self, why: Refusal, calls: u64) {
        self.gate.refuse(why, calls);
        self.books.meters.refused(why, calls);
    }
}

/// A handler that went into a task.
pub(super) struct Running {
    pub(super) abort: AbortHandle,
    pub(super) polls: Arc<Polls>,
    pub(super) route: usize,
    /// The framework gave the answer while the handler was being polled, which nothing can stop; it has not ended yet.
    pub(super) abandoned: bool,
}

/// A call that waits for its turn.
pub(super) struct WaitingCall {
    pub(super) shared: Arc<ServerShared>,
    pub(super) call: CallId,
    pub(super) route: usize,
    pub(super) request: Incoming,
    pub(super) deadline: Option<Instant>,
    pub(super) held: HeldBytes,
}

/// Bytes that count in the server's total until this is dropped.
pub(super) struct HeldBytes {
    core: Arc<ServerCore>,
    bytes: usize,
}

impl HeldBytes {
    pub(super) fn new(core: &Arc<ServerCore>, bytes: usize) -> Self {
        core.held.fetch_add(bytes, Ordering::Relaxed);
        let core = Arc::clone(core);
        Self { core, bytes }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.core.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a connection knows of a call of its that waits.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    pub(super) ticket: Ticket,
    pub(super) route: usize,
    /// Its turn has come, and it is about to be among those that run.
    pub(super) begun: bool,
}

/// Most [`Polls`] that are kept for the next handlers of a connection.
const MOST_SPARE: usize = 1024;

/// Whether the handler of a task is being polled, and whether it was given up.
///
/// A handler that waits when it is given up is never polled again: it costs nothing more, even where the runtime has
/// not come to drop it yet. Only one that is being polled goes on, for as long as it likes.
#[derive(Default)]
pub(super) struct Polls(AtomicU8);

impl Polls {
    const POLLED: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// Begins a poll. False: the handler was given up, and must not be polled any more.
    pub(super) fn begin(&self) -> bool {
        self.0.fetch_or(Self::POLLED, Ordering::AcqRel) & Self::GIVEN_UP == 0
    }

    pub(super) fn end(&self) {
        self.0.fetch_and(!Self::POLLED, Ordering::AcqRel);
    }

    fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::GIVEN_UP != 0
    }

    /// Gives the handler up. Whether it is being polled.
    pub(super) fn give_up(&self) -> bool {
        self.0.fetch_or(Self::GIVEN_UP, Ordering::AcqRel) & Self::POLLED != 0
    }
}

/// Hashes the calls of a connection. Their numbers are the session's own and no peer can choose them, so that the hash
/// need not resist anybody.
#[derive(Default)]
pub(super) struct CallHasher(u64);

pub(super) type ByCall = BuildHasherDefault<CallHasher>;

impl Hasher for CallHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // An odd constant near 2^64 divided by the golden ratio spreads neighbours over the table.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

pub(super) struct ServerState {
    pub(super) session: ServerSession<Paths>,
    pub(super) running: HashMap<CallId, Running, ByCall>,
    pub(super) abandoned: usize,
    /// Calls that wait for their turn.
    pub(super) waiting: HashMap<CallId, Waits, ByCall>,
    /// Of handlers that have ended, for the next ones: a call costs no memory of its own beside its task.
    pub(super) spare: Vec<Arc<Polls>>,
    pub(super) inboxes: HashMap<CallId, Inbox>,
    /// What the session held when the server's total was brought up to date.
    pub(super) counted: usize,
    /// Bytes in all inboxes.
    pub(super) unread: usize,
    pub(super) driver: Alarm,
    pub(super) closed: bool,
}

impl ServerState {
    /// Stops the handler of a call at its next await; if it is not at one, it counts until it has ended. False: it has.
    pub(super) fn stop(&mut self, call: CallId) -> bool {
        let Some(running) = self.running.get_mut(&call) else {
            return false;
        };
        if running.abort.is_finished() {
            // It ended without an answer, just before it was entered here.
            self.running.remove(&call);
            return false;
        }
        running.abandoned = running.polls.give_up();
        self.abandoned += usize::from(running.abandoned);
        running.abort.abort();
        true
    }
}

/// A server's connection behind its lock.
pub(super) struct ServerShared {
    state: Mutex<ServerState>,
    pub(super) peer: Arc<Peer>,
    pub(super) core: Arc<ServerCore>,
}

impl ServerShared {
    pub(super) fn new(
        session: ServerSession<Paths>,
        peer: Arc<Peer>,
        core: Arc<ServerCore>,
    ) -> Self {
        Self {
            state: Mutex::new(ServerState {
                session,
                running: HashMap::default(),
                abandoned: 0,
                waiting: HashMap::default(),
                spare: Vec::new(),
                inboxes: HashMap::new(),
                counted: 0,
                unread: 0,
                driver: Alarm::default(),
                closed: false,
            }),
            peer,
            core,
        }
    }

    /// Brings the server's total of held bytes up to date, and tells the session whether it is too large.
    pub(super) fn count_held(&self, state: &mut ServerState) {
        let held = if state.closed {
            0
        } else {
            state.session.held()
        };
        let total = &self.core.held;
        if held > state.counted {
            total.fetch_add(held - state.counted, Ordering::Relaxed);
        } else if held < state.counted {
            total.fetch_sub(state.counted - held, Ordering::Relaxed);
        }
        state.counted = held;
        let pressed = total.load(Ordering::Relaxed) > self.core.receive_budget;
        state.session.set_pressed(pressed);
    }

    /// Tells what is counted the time, if calls were answered since it was told.
    #[inline(always)]
    pub(super) fn settle(&self, state: &mut ServerState) {
        let tally = state.session.tally();
        if tally.awaits_clock() {
            self.core.books.settle(tally, now());
        }
    }

    /// Adds what is counted to the server's figures.
    pub(super) fn collect(&self, state: &mut ServerState) {
        self.settle(state);
        self.core.books.add(state.session.tally());
    }

    /// No code that can panic runs under the lock but the session's, so that a poisoned one is as good as any.
    pub(super) fn lock(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the session a part of a response through `send`, which says whether anybody waits for it.
    fn give(&self, call: CallId, last: bool, send: impl FnOnce(&mut ServerState) -> bool) -> bool {
        let mut state = self.lock();
        let sent = !state.closed && send(&mut state);
        let driver = state.driver.schedule();
        let wakers = end_inbox(&mut state, call, last);
        drop(state);
        wake(driver);
        wakers.into_iter().for_each(Waker::wake);
        sent
    }

    /// A handler in a task has ended, with its answer or without.
    pub(super) fn ended(&self, call: CallId, reply: Option<Payload>) {
        self.core.gate.leave();
        self.core.books.meters.calls(|| self.core.gate.stats());
        let mut state = self.lock();
        if let Some(running) = state.running.remove(&call) {
            state.abandoned -= usize::from(running.abandoned);
            if !running.polls.is_given_up() && state.spare.len() < MOST_SPARE {
                state.spare.push(running.polls);
            }
        }
        let inbox = state.inboxes.remove(&call);
        let unread = inbox.as_ref().map_or(0, Inbox::unread);
        state.unread -= unread;
        let mut driver = None;
        if let Some(reply) = reply.filter(|_| !state.closed) {
            state.session.respond(call, reply);
            driver = state.driver.schedule();
        } else if state.session.is_draining() || unread > 0 {
            // With less unread the connection may be read again.
            driver = state.driver.schedule();
        }
        drop(state);
        wake(driver);
        if let Some(mut inbox) = inbox {
            inbox.take_wakers().for_each(Waker::wake);
        }
    }

    /// How many calls may begin here before they are looked at.
    pub(super) fn room(&self, state: &ServerState) -> usize {
        if state.abandoned >= self.core.max_abandoned {
            return 0;
        }
        let in_flight = state.running.len() + state.waiting.len();
        self.core.gate.per_connection().saturating_sub(in_flight)
    }

    /// Tells the session what there is no room for, so that it refuses that at once; what it finds then.
    pub(super) fn refuse_from_here(&self, state: &mut ServerState) -> Option<Refusal> {
        let gate = &self.core.gate;
        self.core.books.meters.calls(|| gate.stats());
        let (most, refusal) = match self.room(state) {
            0 if state.abandoned >= self.core.max_abandoned => {
                (Some(Criticality::CriticalPlus), Refusal::Abandoned)
            }
            0 => (Some(Criticality::CriticalPlus), Refusal::PerConnection),
            _ => (gate.refuses(), Refusal::Limit),
        };
        let json = refusal.json();
        let refusing = most.map(|most| Refusing { most, json });
        state.session.refuse_from_here(refusing);
        refusing.map(|_| refusal)
    }

    /// Counts what the session refused.
    pub(super) fn count_refused(&self, state: &mut ServerState, refusal: Option<Refusal>) {
        if let Some(refusal) = refusal {
            let refused = state.session.refuse_from_here(None);
            self.core.refused(refusal, refused);
        }
    }

    /// A call that waits for its turn is not to begin any more. `None`: it does not wait.
    pub(super) fn forget_waiting(&self, state: &mut ServerState, call: CallId) -> Option<Waits> {
        let waits = state.waiting.remove(&call)?;
        let _ = self.core.gate.forget(waits.ticket);
        Some(waits)
    }

    /// Nothing of this connection is to begin any more.
    pub(super) fn forget_all_waiting(&self, state: &mut ServerState) {
        for (_, waits) in state.waiting.drain() {
            let _ = self.core.gate.forget(waits.ticket);
        }
    }

    /// Answers a call whose handler was never begun.
    pub(super) fn answer_waiting(
        &self,
        call: CallId,
        answer: impl FnOnce(&mut ServerState) -> bool,
    ) {
        let mut state = self.lock();
        if state.waiting.remove(&call).is_none() {
            return;
        }
        let inbox = state.inboxes.remove(&call);
        state.unread -= inbox.as_ref().map_or(0, Inbox::unread);
        answer(&mut state);
        let driver = state.driver.schedule();
        drop(state);
        wake(driver);
        if let Some(mut inbox) = inbox {
            inbox.take_wakers().for_each(Waker::wake);
        }
    }

    /// Runs `act` on the session, and lets the driver look at what came of it.
    pub(super) fn tell(&self, act: impl FnOnce(&mut ServerState)) {
        let mut state = self.lock();
        act(&mut state);
        let driver = state.driver.schedule();
        drop(state);
        wake(driver);
    }

    fn next_frame(
        &self,
        state: &mut ServerState,
        call: CallId,
        driver: &mut Option<Waker>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HandlerError>> {
        let answered = !state.session.is_owed(call);
        let Some(inbox) = state.inboxes.get_mut(&call) else {
            let lost = HandlerError::new("the connection was lost");
            return Poll::Ready(Err(lost));
        };
        if let Some(frame) = inbox.frames.pop_front() {
            if !inbox.covered {
                state.unread -= frame.len();
                // With less unread the connection may be read again.
                *driver = driver.take().or_else(|| state.driver.schedule());
            }
            return Poll::Ready(Ok(Some(frame)));
        }
        if inbox.complete {
            return Poll::Ready(Ok(None));
        }
        if answered {
            let early = HandlerError::new("the response was completed before the request");
            return Poll::Ready(Err(early));
        }
        inbox.receiver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The deadline of a call that brings none.
    pub(super) fn run_limit(&self, native: bool, arrived: Instant) -> Option<Instant> {
        native.then(|| arrived + self.core.run_limit)
    }
}

impl Link for ServerShared {
    fn poll_frame(
        &self,
        call: CallId,
        consumed: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HandlerError>> {
        let mut state = self.lock();
        let mut driver = None;
        if consumed > 0 {
            state.session.consumed(call, consumed);
            if state.session.has_output() {
                driver = state.driver.schedule();
            }
        }
        let polled = self.next_frame(&mut state, call, &mut driver, cx);
        drop(state);
        wake(driver);
        polled
    }

    fn consumed(&self, call: CallId, cost: usize) {
        let mut state = self.lock();
        state.session.consumed(call, cost);
        let driver = match state.session.has_output() {
            true => state.driver.schedule(),
            false => None,
        };
        drop(state);
        wake(driver);
    }

    fn poll_room(&self, call: CallId, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed || !state.session.is_owed(call) {
            return Poll::Ready(false);
        }
        if state.session.has_room(call) {
            return Poll::Ready(true);
        }
        match state.inboxes.get_mut(&call) {
            Some(inbox) => {
                inbox.sender = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(false),
        }
    }

    fn poll_closed(&self, call: CallId, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let over = state.closed || !state.session.is_owed(call);
        match state.inboxes.get_mut(&call) {
            Some(inbox) if !over => {
                inbox.closed = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn push(&self, call: CallId, chunk: Chunk, last: bool) -> bool {
        self.give(call, last, |state| state.session.push(call, chunk, last))
    }

    fn send(&self, call: CallId, payload: Payload, last: bool) -> bool {
        self.give(call, last, |state| state.session.send(call, payload, last))
    }
}

/// Once a response is complete, whoever waits for something of the call has to know: no further frame comes for who
/// answers early.
fn end_inbox(state: &mut ServerState, call: CallId, last: bool) -> Vec<Waker> {
    let inbox = state.inboxes.get_mut(&call).filter(|_| last);
    inbox.map_or_else(Vec::new, |inbox| inbox.take_wakers().collect())
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
