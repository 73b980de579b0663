use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::task::AbortHandle;

use super::frames::{Inbound, Inbox, Link};
use super::route::{Failure, Incoming, Runner};
use super::shared::{Polls, Running, ServerShared, ServerState};
use super::task::Task;
use crate::conn::{Endpoint, Status, Transmit, Wakeups, now};
use crate::session::{
    Batch, CallId, Encodings, Ended, ErrorReply, Output, Payload, Profile, ServerEvent,
};
use crate::wire::Path;

/// How long handlers that are not known yet may keep the connection from its other calls in one batch. What is left of
/// the batch goes into tasks.
const UNKNOWN_BUDGET: Duration = Duration::from_micros(100);

/// The driver's view of a server's connection: takes requests off the session, runs handlers in place or in tasks, and
/// gives their answers back.
pub(super) struct ServerEndpoint {
    shared: Arc<ServerShared>,
    /// By route: where its calls run in place.
    runners: Vec<Option<Pin<Box<dyn Runner>>>>,
    events: VecDeque<ServerEvent>,
    replies: Vec<(CallId, Answer)>,
    spawned: Vec<Spawned>,
    spare: Vec<Arc<Polls>>,
    /// Calls whose clients gave them up, with their routes.
    cancelled: Vec<(CallId, usize)>,
    /// Calls polled in place so far, wrapping.
    turn: u32,
    /// What the client reads, as its hello said.
    encodings: Encodings,
    wakeups: Wakeups,
    status: Status,
}

enum Answer {
    Reply(Payload),
    Refusal(ErrorReply),
    /// The handler has sent it frame by frame.
    Sent,
}

/// A call that went into a task, until the session knows.
struct Spawned {
    call: CallId,
    route: usize,
    abort: AbortHandle,
    polls: Arc<Polls>,
    deadline: Option<Instant>,
}

/// The time within a batch of requests, read only for handlers that are to be timed.
struct Clock {
    began: Instant,
    last: Instant,
}

impl Clock {
    fn at(clock: &mut Option<Self>) -> &mut Self {
        clock.get_or_insert_with(|| {
            let began = Instant::now();
            Self { began, last: began }
        })
    }

    /// Whether a handler that is not known yet may still run in place.
    fn allows(clock: &mut Option<Self>) -> bool {
        let clock = Self::at(clock);
        clock.last.duration_since(clock.began) < UNKNOWN_BUDGET
    }

    /// The present time; after a handler that was timed too, that is when it ended.
    fn start(clock: &mut Option<Self>, skipped_some: bool) -> Instant {
        let clock = Self::at(clock);
        if skipped_some {
            clock.last = Instant::now();
        }
        clock.last
    }

    fn stop(clock: &mut Option<Self>, begun: Instant) -> Duration {
        let clock = Self::at(clock);
        clock.last = Instant::now();
        clock.last.duration_since(begun)
    }
}

impl ServerEndpoint {
    pub(super) fn new(shared: Arc<ServerShared>) -> Self {
        let deadline = shared.lock().session.poll_timeout();
        Self {
            shared,
            runners: Vec::new(),
            // One call at a time is common, and without a word these begin with room for four.
            events: VecDeque::with_capacity(1),
            replies: Vec::with_capacity(1),
            spawned: Vec::new(),
            spare: Vec::new(),
            cancelled: Vec::new(),
            turn: 0,
            encodings: Encodings::NONE,
            wakeups: Wakeups::default(),
            status: Status {
                wants_read: true,
                deferred: false,
                missing: 0,
                deadline,
                ended: false,
            },
        }
    }

    fn refresh(&mut self, state: &ServerState, missing: usize, now: Option<Instant>) {
        let session = &state.session;
        let drained = now.is_some_and(|now| session.is_drained(now));
        self.status = Status {
            wants_read: session.wants_read() && state.unread <= self.shared.core.max_unread,
            deferred: session.has_deferred(),
            missing,
            deadline: session.poll_timeout(),
            ended: session.ended().is_some() || drained,
        };
    }

    /// Runs `act` on the session, and acts on every event that comes of it and of the answers given meanwhile.
    fn with(&mut self, act: impl FnOnce(&ServerShared, &mut ServerState) -> usize) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let missing = act(&shared, &mut state);
        loop {
            shared.count_held(&mut state);
            state.session.take_events(&mut self.events);
            if self.events.is_empty() {
                self.refresh(&state, missing, None);
                return;
            }
            self.note_frames(&mut state);
            let native = state.session.profile() == Profile::Native;
            self.encodings = state.session.client_encodings();
            let overloaded = state.abandoned >= shared.core.max_abandoned;
            drop(state);
            self.wakeups.wake_all();
            let mut clock = None;
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                self.act(event, native, overloaded, &mut clock);
            }
            self.events = events;
            state = shared.lock();
            self.give_back(&mut state);
        }
    }

    /// Acts on what only concerns calls in progress; whoever waits for it is woken after the lock is released.
    fn note_frames(&mut self, state: &mut ServerState) {
        for event in &mut self.events {
            match event {
                ServerEvent::Data { call, data, last } => {
                    if let Some(inbox) = state.inboxes.get_mut(call) {
                        if !inbox.covered {
                            state.unread += data.len();
                        }
                        if !data.is_empty() {
                            inbox.frames.push_back(std::mem::take(data));
                        }
                        inbox.complete = *last;
                        self.wakeups.add(inbox.receiver.take());
                    }
                }
                ServerEvent::Writable { call } => {
                    if let Some(inbox) = state.inboxes.get_mut(call) {
                        self.wakeups.add(inbox.sender.take());
                    }
                }
                ServerEvent::Request {
                    call,
                    route,
                    complete,
                    enveloped,
                    ..
                } if self.shared.core.router.streams(*route) => {
                    let inbox = Inbox {
                        complete: *complete,
                        covered: *enveloped,
                        ..Inbox::default()
                    };
                    state.inboxes.insert(*call, inbox);
                }
                ServerEvent::Cancelled { call, route } => self.cancelled.push((*call, *route)),
                ServerEvent::Request { .. }
                | ServerEvent::Expired { .. }
                | ServerEvent::Stalled { .. } => {}
            }
        }
    }

    fn act(
        &mut self,
        event: ServerEvent,
        native: bool,
        overloaded: bool,
        clock: &mut Option<Clock>,
    ) {
        match event {
            ServerEvent::Request {
                call,
                route,
                path,
                data,
                enveloped,
                complete: _,
                arrived,
            } => {
                if self
                    .cancelled
                    .iter()
                    .any(|(cancelled, _)| *cancelled == call)
                {
                    // Nobody waits for it any more: it need not begin.
                    return;
                }
                let full = self.shared.core.running.load(Ordering::Relaxed)
                    >= self.shared.core.max_in_flight;
                if (full || overloaded) && native {
                    let text = if full {
                        "the server has too many calls in progress (max_in_flight)"
                    } else {
                        "too many handlers of this connection still run after their deadline (max_abandoned)"
                    };
                    let reply = ErrorReply::new(ErrorReply::OVERLOADED, text);
                    self.replies.push((call, Answer::Refusal(reply)));
                    return;
                }
                let request = self.incoming(call, path, data, enveloped, native, route, arrived);
                self.dispatch(call, route, request, native, clock);
            }
            ServerEvent::Expired { call } => self.fail(call, &Failure::Expired, native),
            ServerEvent::Stalled { call } => self.fail(call, &Failure::Stalled, native),
            ServerEvent::Data { .. }
            | ServerEvent::Writable { .. }
            | ServerEvent::Cancelled { .. } => {}
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn incoming(
        &self,
        call: CallId,
        path: Option<Path>,
        data: Bytes,
        enveloped: bool,
        native: bool,
        route: usize,
        arrived: Instant,
    ) -> Incoming {
        let streams = self.shared.core.router.streams(route);
        Incoming {
            path,
            data,
            enveloped,
            native,
            encodings: self.encodings,
            arrived,
            default_timeout: self.shared.core.default_timeout,
            peer: Arc::clone(&self.shared.peer),
            inbound: streams.then(|| Inbound {
                link: Arc::clone(&self.shared) as Arc<dyn Link>,
                call,
            }),
        }
    }

    /// Runs a call: polled in place first, unless its method is known to be slow.
    fn dispatch(
        &mut self,
        call: CallId,
        index: usize,
        request: Incoming,
        native: bool,
        clock: &mut Option<Clock>,
    ) {
        let shared = Arc::clone(&self.shared);
        let Some(entry) = shared.core.router.entries.get(index) else {
            return;
        };
        if self.runners.len() <= index {
            self.runners.resize_with(index + 1, || None);
        }
        let kept = self.runners.get_mut(index).and_then(Option::take);
        let mut runner = kept.unwrap_or_else(|| entry.route.runner());
        let (enveloped, arrived) = (request.enveloped, request.arrived);
        let begun = catch_unwind(AssertUnwindSafe(|| runner.as_mut().begin(request)));
        if begun.is_err() {
            let payload = entry.route.failure(&Failure::Panicked, enveloped);
            self.replies.push((call, Answer::Reply(payload)));
            return;
        }
        let known = entry.placement.is_known();
        let in_place = entry.placement.in_place() && (known || Clock::allows(clock));
        if in_place {
            self.turn = self.turn.wrapping_add(1);
            let timed = entry.placement.is_timed(self.turn);
            let begun = timed.then(|| Clock::start(clock, known));
            let mut context = Context::from_waker(Waker::noop());
            let polled = catch_unwind(AssertUnwindSafe(|| runner.as_mut().poll(&mut context)));
            if let Some(begun) = begun {
                let took = Clock::stop(clock, begun);
                entry.placement.record(took.as_nanos() as u64);
            }
            match polled {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(reply)) => {
                    if let Some(slot) = self.runners.get_mut(index) {
                        *slot = Some(runner);
                    }
                    let answer = reply.0.map_or(Answer::Sent, Answer::Reply);
                    self.replies.push((call, answer));
                    return;
                }
                Err(_) => {
                    let payload = entry.route.failure(&Failure::Panicked, enveloped);
                    self.replies.push((call, Answer::Reply(payload)));
                    return;
                }
            }
        }
        // A stream of messages may go on for as long as its client wants it, which it can cancel. Nobody can cancel a
        // raw call.
        let limited = native && !(enveloped && shared.core.router.streams(index));
        let deadline = runner
            .deadline()
            .or_else(|| shared.run_limit(limited, arrived));
        shared.core.running.fetch_add(1, Ordering::Relaxed);
        let polls = self.spare.pop().unwrap_or_default();
        let task = Task {
            shared: Arc::clone(&shared),
            call,
            route: Arc::clone(&entry.route),
            index,
            runner,
            polls: Arc::clone(&polls),
            enveloped,
            measure: !in_place,
            done: false,
        };
        let abort = tokio::spawn(task.run()).abort_handle();
        self.spawned.push(Spawned {
            call,
            route: index,
            abort,
            polls,
            deadline,
        });
    }

    /// Gives the answers of a batch to the session, under one lock.
    fn give_back(&mut self, state: &mut ServerState) {
        for (call, answer) in self.replies.drain(..) {
            match answer {
                Answer::Reply(payload) => state.session.respond(call, payload),
                Answer::Refusal(reply) => state.session.refuse(call, &reply),
                Answer::Sent => true,
            };
            if !state.inboxes.is_empty()
                && let Some(mut inbox) = state.inboxes.remove(&call)
            {
                for waker in inbox.take_wakers() {
                    self.wakeups.add(Some(waker));
                }
                state.unread -= inbox.unread();
            }
        }
        for spawned in self.spawned.drain(..) {
            // It may have ended already, on another core.
            if spawned.abort.is_finished() || !state.session.is_owed(spawned.call) {
                continue;
            }
            if let Some(deadline) = spawned.deadline {
                state.session.set_deadline(spawned.call, deadline);
            }
            let running = Running {
                abort: spawned.abort,
                polls: spawned.polls,
                route: spawned.route,
                abandoned: false,
            };
            state.running.insert(spawned.call, running);
        }
        if self.spare.is_empty() {
            std::mem::swap(&mut self.spare, &mut state.spare);
        }
        for (call, route) in std::mem::take(&mut self.cancelled) {
            self.cancel(state, call, route);
        }
    }

    /// Answers a call that its client gave up, without waiting for its handler, which is stopped at its next await.
    fn cancel(&mut self, state: &mut ServerState, call: CallId, route: usize) {
        let entry = self.shared.core.router.entries.get(route);
        let Some(entry) = entry.filter(|_| state.session.is_owed(call)) else {
            return;
        };
        let payload = entry.route.failure(&Failure::Cancelled, true);
        let runs = stop(state, call);
        state.session.abort(call, payload);
        let inbox = match runs {
            true => state.inboxes.get_mut(&call).map(Inbox::take_wakers),
            false => state.inboxes.remove(&call).map(|mut inbox| {
                state.unread -= inbox.unread();
                inbox.take_wakers()
            }),
        };
        for waker in inbox.into_iter().flatten() {
            self.wakeups.add(Some(waker));
        }
    }

    /// Answers a call that has taken too long; its handler is stopped at its next await.
    fn fail(&mut self, call: CallId, failure: &Failure, native: bool) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let Some(route) = state.running.get(&call).map(|running| running.route) else {
            return;
        };
        if !stop(&mut state, call) {
            return;
        }
        let Some(entry) = shared.core.router.entries.get(route) else {
            return;
        };
        let enveloped = native && entry.route.format() == crate::session::Format::Enveloped;
        let payload = entry.route.failure(failure, enveloped);
        state.session.abort(call, payload);
        if let Some(inbox) = state.inboxes.get_mut(&call) {
            for waker in inbox.take_wakers() {
                self.wakeups.add(Some(waker));
            }
        }
    }
}

/// Stops the handler of a call at its next await; if it is not at one, it counts until it has ended. False: it has.
fn stop(state: &mut ServerState, call: CallId) -> bool {
    let Some(running) = state.running.get_mut(&call) else {
        return false;
    };
    if running.abort.is_finished() {
        // It ended without an answer, just before it was entered here.
        state.running.remove(&call);
        return false;
    }
    running.abandoned = running.polls.give_up();
    state.abandoned += usize::from(running.abandoned);
    running.abort.abort();
    true
}

impl Endpoint for ServerEndpoint {
    const LINGERS: bool = true;
    const FLUSH_LIMIT: Duration = Duration::from_secs(30);

    fn input(&mut self, input: &mut BytesMut, received: usize, batch: Batch, now: Instant) {
        self.with(|shared, state| {
            shared.core.books.keep_up(state.session.tally(), now);
            state.session.handle_batch(input, received, batch, now);
            state.session.missing(input.len())
        });
    }

    fn transmit(
        &mut self,
        output: &mut Output,
        _written: usize,
        yielded: u8,
        waker: &Waker,
    ) -> Transmit {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let missing = self.status.missing;
        if state.session.has_events() {
            // An answer given by a task made room for the next request of its channel, or a sender may go on.
            drop(state);
            self.with(|_, _| missing);
            state = shared.lock();
        }
        if !state.session.has_output() {
            shared.settle(&mut state);
            state.driver.park(waker);
            let now = state.session.is_draining().then(now);
            if now.is_some_and(|now| state.session.is_drained(now)) {
                state.session.finish();
                if state.session.has_output() {
                    state.session.poll_transmit(output);
                    self.refresh(&state, missing, now);
                    return Transmit::Now;
                }
            }
            self.refresh(&state, missing, now);
            return Transmit::Nothing;
        }
        // Several handlers run in tasks: let those that are ready give their answers before the one write.
        if yielded == 0 && state.running.len() > 1 {
            return Transmit::Soon;
        }
        shared.settle(&mut state);
        state.session.poll_transmit(output);
        self.refresh(&state, missing, None);
        Transmit::Now
    }

    fn park(&mut self, _written: usize, waker: &Waker) {
        let shared = Arc::clone(&self.shared);
        let missing = self.status.missing;
        let mut state = shared.lock();
        if state.session.has_events() {
            drop(state);
            self.with(|_, _| missing);
            state = shared.lock();
        }
        shared.settle(&mut state);
        state.driver.park(waker);
        self.refresh(&state, missing, None);
    }

    fn timeout(&mut self, now: Instant) {
        let missing = self.status.missing;
        self.with(|_, state| {
            state.session.handle_timeout(now);
            missing
        });
    }

    fn status(&self) -> Status {
        self.status
    }

    fn eof(&mut self) {
        self.with(|_, state| {
            state.session.handle_eof();
            0
        });
    }

    fn end(&mut self, why: Ended) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.session.end(why);
        self.status.ended = true;
    }

    fn closed(&mut self, _written: usize) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.session.end(Ended::Locally);
        state.closed = true;
        shared.count_held(&mut state);
        for running in state.running.values() {
            running.abort.abort();
        }
        let inboxes = std::mem::take(&mut state.inboxes);
        state.unread = 0;
        drop(state);
        for (_, mut inbox) in inboxes {
            for waker in inbox.take_wakers() {
                self.wakeups.add(Some(waker));
            }
        }
        self.wakeups.wake_all();
    }

    fn shrink(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        shared.collect(&mut state);
        state.session.tally().shrink();
        state.session.shrink();
        state.spare = Vec::new();
        drop(state);
        self.spare = Vec::new();
        self.events = VecDeque::new();
        self.replies = Vec::new();
        self.spawned = Vec::new();
    }

    fn write_stall(&self) -> Duration {
        self.shared.core.write_stall
    }
}
