use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::driver::{Alarm, Endpoint, Status, Transmit, now};
use crate::error::{Error, ErrorKind, Outcome};
use crate::session::{
    Batch, CallId, ClientEvent, ClientSession, Encodings, Ended, ErrorReply, Profile,
};
use crate::session::{ChannelTable, Output};

/// Wakers gathered under a lock, to be woken after it is released.
#[derive(Debug, Default)]
pub(crate) struct Wakeups(Vec<Waker>);

impl Wakeups {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        self.0.extend(waker);
    }

    pub(crate) fn wake_all(&mut self) {
        for waker in self.0.drain(..) {
            waker.wake();
        }
    }
}

/// How often the driver lets others run before a write, at most. With 1, the half of the callers that another core took
/// went out in a write of its own.
const PATIENCE: u8 = 3;

/// What a call of a client waits for.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) waker: Option<Waker>,
    /// Wakes the sending half.
    pub(super) sender: Option<Waker>,
    pub(super) received: VecDeque<Bytes>,
    /// Bytes in `received`.
    pub(super) unread: usize,
    pub(super) complete: bool,
    pub(super) failure: Option<Failure>,
}

/// How a call failed, before there is a text for it.
#[derive(Debug)]
pub(super) enum Failure {
    Refused(ErrorReply),
    TooLarge {
        limit: usize,
        budget: bool,
    },
    Expired {
        may_have_run: bool,
    },
    Ended {
        may_have_run: bool,
    },
    /// Its sender gave it up before anything was sent.
    Withdrawn,
}

/// Told about what concerns all calls of a connection.
pub(crate) trait Observer: Send + Sync + 'static {
    /// Calls may begin that could not before, or the connection takes no more.
    fn changed(&self);
}

pub(super) struct ClientState {
    pub(super) session: ClientSession,
    pub(super) slots: ChannelTable<Slot>,
    pub(super) driver: Alarm,
    pub(super) closed: bool,
    /// Calls begun since the last write.
    pub(super) opened: usize,
    /// When the driver last read, for what needs a time but not the present one.
    pub(super) last_read: Instant,
}

/// A client's connection behind its lock.
pub(super) struct ClientShared {
    state: Mutex<ClientState>,
    pub(super) endpoint: Arc<str>,
    pub(super) observer: Arc<dyn Observer>,
    /// Calls in flight, or `FULL`.
    pub(super) load: AtomicUsize,
    /// Set once, before the first call.
    pub(super) server: OnceLock<ServerFacts>,
}

/// What the hello told, where it can be read without the lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerFacts {
    pub(super) native: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) max_message: usize,
    pub(super) encodings: Encodings,
}

/// No call may begin: every channel is in use, or the connection takes no more.
pub(super) const FULL: usize = usize::MAX;

impl ClientShared {
    pub(super) fn new(
        session: ClientSession,
        endpoint: Arc<str>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            state: Mutex::new(ClientState {
                session,
                slots: ChannelTable::new(),
                driver: Alarm::default(),
                closed: false,
                opened: 0,
                last_read: now(),
            }),
            endpoint,
            observer,
            load: AtomicUsize::new(FULL),
            server: OnceLock::new(),
        }
    }

    /// No code that can panic runs under the lock but the session's, so that a poisoned one is as good as any.
    pub(super) fn lock(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the load known after a change.
    pub(super) fn publish(&self, state: &ClientState) {
        let load = match state.session.available() {
            0 => FULL,
            _ => state.session.in_flight(),
        };
        self.load.store(load, Ordering::Relaxed);
    }

    pub(super) fn error(&self, failure: Failure, ended: Option<&Ended>) -> Error {
        let endpoint = &self.endpoint;
        let outcome = |may_have_run: bool| {
            if may_have_run {
                Outcome::Unknown
            } else {
                Outcome::NotSent
            }
        };
        match failure {
            Failure::Refused(reply) => Error::new(
                ErrorKind::Refused { code: reply.code },
                refused_outcome(reply.code),
                format!(
                    "{endpoint} refused the call with code {}: {}",
                    reply.code,
                    reply.message.escape_debug()
                ),
            ),
            Failure::TooLarge { limit, budget } => Error::new(
                ErrorKind::TooLarge,
                Outcome::Unknown,
                if budget {
                    format!(
                        "with the response of {endpoint} this client would hold more than {limit} bytes for the \
                         connection (receive_budget)"
                    )
                } else {
                    format!(
                        "the response of {endpoint} is larger than this client's limit of {limit} bytes (max_message)"
                    )
                },
            ),
            Failure::Expired { may_have_run } => Error::new(
                ErrorKind::Deadline,
                outcome(may_have_run),
                format!(
                    "the deadline passed while waiting for the response of {endpoint} (timeout)"
                ),
            ),
            Failure::Withdrawn => Error::new(
                ErrorKind::Withdrawn,
                Outcome::NotSent,
                format!("the request to {endpoint} was given up before anything of it was sent"),
            ),
            Failure::Ended { may_have_run } => {
                let text = format!("the connection to {endpoint} ended during the call");
                let error = Error::new(ErrorKind::Closed, outcome(may_have_run), text);
                match ended {
                    Some(ended) => error.with_source(ended.clone()),
                    None => error,
                }
            }
        }
    }
}

/// Codes that say that no handler saw the request.
fn refused_outcome(code: i64) -> Outcome {
    match code {
        ErrorReply::NO_HANDLER
        | ErrorReply::OVERLOADED
        | ErrorReply::DRAINING
        | ErrorReply::TOO_LARGE
        | ErrorReply::UNAUTHENTICATED
        | ErrorReply::PERMISSION_DENIED => Outcome::NotProcessed,
        _ => Outcome::Unknown,
    }
}

/// The driver's view of a client's connection.
pub(super) struct ClientEndpoint {
    shared: Arc<ClientShared>,
    wakeups: Wakeups,
    status: Status,
    /// Callers that were woken since the last write, and are likely to begin their next calls.
    woken: usize,
    write_stall: Duration,
    /// Bytes a call may leave unread.
    max_unread: usize,
}

impl ClientEndpoint {
    pub(super) fn new(shared: Arc<ClientShared>, write_stall: Duration, max_unread: usize) -> Self {
        Self {
            shared,
            wakeups: Wakeups::default(),
            status: Status {
                wants_read: true,
                deferred: false,
                missing: 0,
                deadline: None,
                ended: false,
            },
            woken: 0,
            write_stall,
            max_unread,
        }
    }

    /// Acts on the session's events; whoever waits is woken after the lock is released.
    fn with(&mut self, act: impl FnOnce(&mut ClientState)) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        act(&mut state);
        let changed = self.take_events(&mut state);
        self.refresh(&state, 0);
        drop(state);
        self.finish(changed);
    }

    fn finish(&mut self, changed: bool) {
        if self.wakeups.0.len() > 1 {
            self.woken += self.wakeups.0.len();
        }
        self.wakeups.wake_all();
        if changed {
            self.shared.observer.changed();
        }
    }

    fn refresh(&mut self, state: &ClientState, buffered: usize) {
        self.status = Status {
            wants_read: true,
            deferred: false,
            missing: state.session.missing(buffered),
            deadline: state.session.poll_timeout(),
            ended: state.session.ended().is_some(),
        };
    }

    fn take_events(&mut self, state: &mut ClientState) -> bool {
        self.shared.publish(state);
        let mut changed = false;
        while let Some(event) = state.session.poll_event() {
            match event {
                ClientEvent::Response { call, data, last } => {
                    let slot = state.slots.entry(call.channel);
                    if slot.failure.is_some() {
                        continue;
                    }
                    slot.unread += data.len();
                    if slot.unread > self.max_unread {
                        let limit = self.max_unread;
                        let budget = true;
                        self.fail(state, call, Failure::TooLarge { limit, budget });
                        continue;
                    }
                    slot.received.push_back(data);
                    slot.complete = last;
                    self.wakeups.add(slot.waker.take());
                    if last {
                        // The response may have come before the request was complete.
                        self.wakeups.add(slot.sender.take());
                    }
                }
                ClientEvent::Refused { call, reply } => {
                    self.fail(state, call, Failure::Refused(reply));
                }
                ClientEvent::TooLarge {
                    call,
                    limit,
                    budget,
                } => {
                    self.fail(state, call, Failure::TooLarge { limit, budget });
                }
                ClientEvent::Expired { call } => {
                    let may_have_run = state.session.expire(call);
                    self.fail(state, call, Failure::Expired { may_have_run });
                }
                ClientEvent::Writable { call } => {
                    let slot = state.slots.get_mut(call.channel);
                    self.wakeups.add(slot.and_then(|slot| slot.sender.take()));
                }
                ClientEvent::Ready => {
                    let session = &state.session;
                    let facts = ServerFacts {
                        native: session.profile() == Some(Profile::Native),
                        timeout: session.server_timeout(),
                        max_message: session.server_max_message(),
                        encodings: session.server_encodings(),
                    };
                    let _ = self.shared.server.set(facts);
                    changed = true;
                }
                ClientEvent::Capacity | ClientEvent::Draining | ClientEvent::Stuck => {
                    changed = true
                }
            }
        }
        changed
    }

    fn fail(&mut self, state: &mut ClientState, call: CallId, failure: Failure) {
        let slot = state.slots.entry(call.channel);
        slot.failure.get_or_insert(failure);
        slot.complete = true;
        self.wakeups.add(slot.waker.take());
        self.wakeups.add(slot.sender.take());
    }
}

/// Whatever ended the driver, be it a panic, everybody who waits gets an answer.
impl Drop for ClientEndpoint {
    fn drop(&mut self) {
        if !self.shared.lock().closed {
            self.closed(0);
        }
    }
}

impl Endpoint for ClientEndpoint {
    const LINGERS: bool = false;
    /// Short: no call can be answered any more, and each waits until this is over to be told.
    const FLUSH_LIMIT: Duration = Duration::from_secs(1);

    fn input(&mut self, input: &mut BytesMut, received: usize, batch: Batch, now: Instant) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.last_read = now;
        let deferred = state.session.handle_batch(input, received, batch, now);
        let changed = self.take_events(&mut state);
        self.refresh(&state, input.len());
        self.status.deferred = deferred;
        drop(state);
        self.finish(changed);
    }

    fn transmit(
        &mut self,
        output: &mut Output,
        written: usize,
        yielded: u8,
        waker: &Waker,
    ) -> Transmit {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.session.written(written);
        // Until there is none under the lock: who makes one while it is released relies on this driver.
        while state.session.has_events() {
            let changed = self.take_events(&mut state);
            if !changed && self.wakeups.0.is_empty() {
                break;
            }
            drop(state);
            self.finish(changed);
            state = shared.lock();
        }
        let has_output = state.session.has_output();
        // Several calls at once: let the others that are ready queue their frames before the one write. Callers that
        // were just woken may be running on another core; they get a few more turns.
        let crowd = has_output && state.session.in_flight() > 1;
        let lacking = state.opened < self.woken;
        if yielded == 0 && self.woken > 1 {
            return Transmit::AfterWoken;
        }
        if yielded == 0 && crowd || yielded < PATIENCE && lacking {
            return Transmit::Soon;
        }
        self.woken = 0;
        state.opened = 0;
        let missing = self.status.missing;
        if !has_output {
            state.driver.park(waker);
            self.refresh(&state, 0);
            self.status.missing = missing;
            return Transmit::Nothing;
        }
        state.session.poll_transmit(output);
        let changed = self.take_events(&mut state);
        self.refresh(&state, 0);
        self.status.missing = missing;
        drop(state);
        self.finish(changed);
        Transmit::Now
    }

    fn park(&mut self, written: usize, waker: &Waker) {
        let missing = self.status.missing;
        self.with(|state| {
            state.session.written(written);
            state.driver.park(waker);
        });
        self.status.missing = missing;
    }

    fn timeout(&mut self, now: Instant) {
        let missing = self.status.missing;
        self.with(|state| state.session.handle_timeout(now));
        self.status.missing = missing;
    }

    fn status(&self) -> Status {
        self.status
    }

    fn eof(&mut self) {
        self.with(|state| state.session.handle_eof());
    }

    fn end(&mut self, why: Ended) {
        self.with(|state| state.session.end(why));
    }

    fn closed(&mut self, written: usize) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.session.written(written);
        state.session.end(Ended::Locally);
        self.take_events(&mut state);
        state.closed = true;
        for (channel, may_have_run) in state.session.unanswered() {
            let slot = state.slots.entry(channel);
            if !slot.complete {
                slot.complete = true;
                slot.failure.get_or_insert(Failure::Ended { may_have_run });
            }
            self.wakeups.add(slot.waker.take());
            self.wakeups.add(slot.sender.take());
        }
        drop(state);
        self.finish(true);
    }

    fn shrink(&mut self) {
        self.with(|state| state.session.shrink());
    }

    fn write_stall(&self) -> Duration {
        self.write_stall
    }
}
