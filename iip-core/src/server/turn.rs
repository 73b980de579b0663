use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::gate::Refusal;
use super::overload::Terms;
use super::route::{Failure, Incoming};
use super::shared::{HeldBytes, ServerShared, WaitingCall, Waits};
use super::task::resume;
use super::waiting::Pushed;
use crate::conn::now;
use crate::session::{CallId, Criticality, Payload};

/// What becomes of a call that came while there is hardly any room.
pub(super) enum Admitted {
    Begins(Incoming),
    Waits,
    Refused(Refusal),
    /// Its deadline has passed.
    Expired(Payload),
}

impl ServerShared {
    /// Looks whether a native call may begin. `crowded`: its connection has as many as it may, or too many that were
    /// abandoned. `spawned`: of its batch, so many were begun. Nothing of it was decoded, and of one that is refused nothing is.
    #[cold]
    pub(super) fn admit(
        self: &Arc<Self>,
        call: CallId,
        route: usize,
        request: Incoming,
        crowded: bool,
        spawned: usize,
    ) -> Admitted {
        let core = &self.core;
        // Who looks after the server has to see it now.
        if core.router.is_statistics(route) {
            return Admitted::Begins(request);
        }
        let refused = |refusal| {
            core.refused(refusal, 1);
            Admitted::Refused(refusal)
        };
        if crowded {
            return refused(match self.lock().abandoned >= core.max_abandoned {
                true => Refusal::Abandoned,
                false => Refusal::PerConnection,
            });
        }
        let Some(entry) = core.router.entries.get(route) else {
            return refused(Refusal::Limit);
        };
        let terms = match request.enveloped {
            true => entry.route.terms(&request.data, core.default_timeout),
            false => Terms::default(),
        };
        if core.gate.has_room(terms.criticality) {
            return Admitted::Begins(request);
        }
        let pressed = core.held.load(Ordering::Relaxed) > core.receive_budget;
        if !core.gate.has_queue() || pressed {
            return refused(Refusal::Limit);
        }
        let now = now();
        let timeout = |timeout| request.arrived.checked_add(timeout);
        let deadline = terms.timeout.and_then(timeout);
        if deadline.is_some_and(|deadline| deadline <= now) {
            core.gate.expire();
            let failure = &Failure::ExpiredWaiting;
            return Admitted::Expired(entry.route.failure(failure, request.enveloped));
        }
        let limited = !(request.enveloped && core.router.streams(route));
        let deadline = deadline.or_else(|| self.run_limit(limited, request.arrived));
        self.wait(call, route, request, terms.criticality, deadline, spawned)
    }

    fn wait(
        self: &Arc<Self>,
        call: CallId,
        route: usize,
        mut request: Incoming,
        criticality: Criticality,
        deadline: Option<Instant>,
        spawned: usize,
    ) -> Admitted {
        let core = &self.core;
        request.detach();
        let held = HeldBytes::new(core, request.data.len());
        let waiting = WaitingCall {
            shared: Arc::clone(self),
            call,
            route,
            request,
            deadline,
            held,
        };
        // Whoever takes it out of the queue finds it entered here.
        let mut state = self.lock();
        if self.room(&state) <= spawned {
            // Others of its batch wait already.
            core.refused(Refusal::PerConnection, 1);
            return Admitted::Refused(Refusal::PerConnection);
        }
        let (ticket, displaced) = match core.gate.wait(waiting, criticality, deadline, now()) {
            Pushed::Waits(ticket, displaced) => (ticket, displaced),
            Pushed::Full(_) => {
                core.refused(Refusal::Limit, 1);
                return Admitted::Refused(Refusal::Limit);
            }
        };
        let begun = false;
        let waits = Waits {
            ticket,
            route,
            begun,
        };
        state.waiting.insert(call, waits);
        if let Some(deadline) = deadline {
            state.session.set_deadline(call, deadline);
        }
        drop(state);
        if let Some(displaced) = displaced {
            displaced.refuse();
        }
        // A place may have become free meanwhile, and whoever left have found nobody waiting.
        resume(core);
        Admitted::Waits
    }
}
