use std::sync::atomic::Ordering;

use super::route::Failure;
use super::shared::{ServerShared, ServerState};
use crate::conn::Wakeups;
use crate::session::{CallId, Format, Profile};

/// Which calls a drain cuts short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Streams of messages.
    Streams,
    All,
}

/// Answers calls whose handlers still run. Handlers that wait are stopped; one that is being polled is so at its next
/// await.
pub(super) fn end_calls(
    shared: &ServerShared,
    state: &mut ServerState,
    which: Which,
    wakeups: &mut Wakeups,
) {
    let router = &shared.core.router;
    let native = state.session.profile() == Profile::Native;
    let running: Vec<_> = state
        .running
        .iter()
        .filter(|(_, running)| !running.abandoned)
        .map(|(call, running)| (*call, running.route))
        .collect();
    for (call, route) in running {
        let Some(entry) = router.entries.get(route) else {
            continue;
        };
        let enveloped = native && entry.route.format() == Format::Enveloped;
        let streams = enveloped && router.streams(route);
        if which == Which::Streams && !streams || !state.session.is_owed(call) {
            continue;
        }
        if !stop(state, call) {
            continue;
        }
        let (failure, cut) = match streams {
            true => (Failure::Draining, &shared.core.cut_streams),
            false => (Failure::Aborted, &shared.core.cut_calls),
        };
        cut.fetch_add(1, Ordering::Relaxed);
        let payload = entry.route.failure(&failure, enveloped);
        state.session.abort(call, payload);
        if let Some(inbox) = state.inboxes.get_mut(&call) {
            for waker in inbox.take_wakers() {
                wakeups.add(Some(waker));
            }
        }
    }
}

/// Stops the handler of a call at its next await; if it is not at one, it counts until it has ended. False: it has.
pub(super) fn stop(state: &mut ServerState, call: CallId) -> bool {
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
