use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::gate::Refusal;
use super::route::{Failure, Reply, Route, Runner};
use super::shared::{Polls, Running, ServerCore, ServerShared, WaitingCall};
use super::waiting::Turn;
use crate::conn::now;
use crate::session::{CallId, Payload};

/// A call whose handler was not ready at once.
pub(super) struct Task {
    pub(super) shared: Arc<ServerShared>,
    pub(super) call: CallId,
    pub(super) route: Arc<dyn Route>,
    pub(super) index: usize,
    pub(super) runner: Pin<Box<dyn Runner>>,
    pub(super) polls: Arc<Polls>,
    pub(super) enveloped: bool,
    /// Whether the first poll is yet to be timed.
    pub(super) measure: bool,
    /// When it was let in, and its deadline, if it is of use to know how long it takes.
    pub(super) admitted: Option<(Instant, Option<Instant>)>,
    pub(super) done: bool,
}

impl Task {
    pub(super) async fn run(mut self) {
        let reply = std::future::poll_fn(|cx| self.poll_handler(cx)).await;
        self.done = true;
        self.end(reply);
    }

    fn end(&self, reply: Option<Payload>) {
        let core = &self.shared.core;
        if let Some((admitted, deadline)) = self.admitted {
            self.note_time(core, admitted, deadline);
        }
        self.shared.ended(self.call, reply);
        resume(core);
    }

    fn note_time(&self, core: &ServerCore, admitted: Instant, deadline: Option<Instant>) {
        let now = now();
        // One that was given up earlier tells nothing.
        let given_up = !self.done && deadline.is_none_or(|deadline| now < deadline);
        // Nor does a stream, which lasts as long as its client likes.
        if given_up || core.router.streams(self.index) {
            return;
        }
        let took = now.saturating_duration_since(admitted);
        core.gate.ended(self.index, took, now);
        if let Some(entry) = core.router.entries.get(self.index) {
            entry.service_time.record(took);
        }
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<Option<Payload>> {
        if !self.polls.begin() {
            // The runtime drops the task in place of the next poll.
            return Poll::Pending;
        }
        let begun = self.measure.then(Instant::now);
        let polled = catch_unwind(AssertUnwindSafe(|| self.runner.as_mut().poll(cx)));
        self.polls.end();
        if let Some(begun) = begun {
            self.measure = false;
            if let Some(entry) = self.shared.core.router.entries.get(self.index) {
                entry.placement.record(begun.elapsed().as_nanos() as u64);
            }
        }
        match polled {
            Ok(poll) => poll.map(Reply::into_payload),
            Err(_) => Poll::Ready(Some(self.route.failure(&Failure::Panicked, self.enveloped))),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Aborted: whoever aborted it has given the answer, or the connection is gone.
        if !self.done {
            self.end(None);
        }
    }
}

/// Begins calls that wait for their turn, if it has come: to be called when a handler has ended, or a call began to wait.
#[inline(always)]
pub(super) fn resume(core: &ServerCore) {
    if core.gate.is_waiting() {
        begin_waiting(core);
    }
}

#[cold]
fn begin_waiting(core: &ServerCore) {
    // Without a runtime nothing can begin any more, and the connections end too.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    let service = |call: &WaitingCall| {
        let entry = core.router.entries.get(call.route);
        entry.map_or_else(Default::default, |entry| entry.service_time.median())
    };
    // A runtime that ends drops what is spawned at once, which comes back to here: then the outer one goes on.
    while core.gate.begin_resuming() {
        while let Some(turn) = core.gate.next(now(), service) {
            match turn {
                Turn::Begin(call) => call.begin(&runtime),
                Turn::Expired(call) => call.expire(),
                Turn::Hopeless(call) => call.refuse(),
            }
        }
        if !core.gate.end_resuming() {
            return;
        }
    }
}

impl WaitingCall {
    fn begin(self, runtime: &Handle) {
        let Self {
            shared,
            call,
            route: index,
            request,
            deadline,
            held,
        } = self;
        let core = &shared.core;
        let Some(entry) = core.router.entries.get(index) else {
            return;
        };
        match shared.lock().waiting.get_mut(&call) {
            Some(waits) => waits.begun = true,
            // It was given up.
            None => return,
        }
        drop(held);
        let enveloped = request.enveloped;
        let mut runner = entry.route.runner();
        let begun = catch_unwind(AssertUnwindSafe(|| runner.as_mut().begin(request)));
        if begun.is_err() {
            let payload = entry.route.failure(&Failure::Panicked, enveloped);
            shared.answer_waiting(call, |state| state.session.respond(call, payload));
            return;
        }
        core.gate.enter();
        let polls = Arc::new(Polls::default());
        let task = Task {
            shared: Arc::clone(&shared),
            call,
            route: Arc::clone(&entry.route),
            index,
            runner,
            polls: Arc::clone(&polls),
            enveloped,
            measure: true,
            admitted: Some((now(), deadline)),
            done: false,
        };
        let abort = runtime.spawn(task.run()).abort_handle();
        let mut state = shared.lock();
        if state.waiting.remove(&call).is_none() {
            // It was given up, and answered, meanwhile.
            polls.give_up();
            abort.abort();
            return;
        }
        // It may have ended already, on another core.
        if abort.is_finished() || !state.session.is_owed(call) {
            return;
        }
        let running = Running {
            abort,
            polls,
            route: index,
            abandoned: false,
        };
        state.running.insert(call, running);
    }

    fn expire(self) {
        let core = &self.shared.core;
        core.gate.expire();
        let Some(entry) = core.router.entries.get(self.route) else {
            return;
        };
        let failure = &Failure::ExpiredWaiting;
        let payload = entry.route.failure(failure, self.request.enveloped);
        self.shared
            .answer_waiting(self.call, |state| state.session.respond(self.call, payload));
    }

    /// Answers it with a refusal.
    pub(super) fn refuse(self) {
        let refusal = Refusal::Waiting;
        self.shared.core.refused(refusal, 1);
        self.shared.answer_waiting(self.call, |state| {
            let json = Bytes::from_static(refusal.json().as_bytes());
            state.session.refuse_with(self.call, json)
        });
    }
}
