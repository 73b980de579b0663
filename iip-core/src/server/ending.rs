use std::sync::atomic::Ordering;

use super::route::Failure;
use super::shared::{ServerShared, ServerState};
use crate::conn::Wakeups;
use crate::session::{ErrorReply, Format, Profile};

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
    if which == Which::All {
        refuse_waiting(shared, state);
    }
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
        if !state.stop(call) {
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

/// Refuses the calls that wait for their turn: another server may take them.
fn refuse_waiting(shared: &ServerShared, state: &mut ServerState) {
    let waiting: Vec<_> = state.waiting.keys().copied().collect();
    for call in waiting {
        let Some(waits) = shared.forget_waiting(state, call) else {
            continue;
        };
        if !waits.begun {
            state.session.refuse(call, &stopping());
            continue;
        }
        let router = &shared.core.router;
        if let Some(entry) = router.entries.get(waits.route) {
            let native = state.session.profile() == Profile::Native;
            let enveloped = native && entry.route.format() == Format::Enveloped;
            shared.core.cut_calls.fetch_add(1, Ordering::Relaxed);
            let payload = entry.route.failure(&Failure::Aborted, enveloped);
            state.session.abort(call, payload);
        }
    }
}

fn stopping() -> ErrorReply {
    ErrorReply::new(ErrorReply::DRAINING, "the server is stopping")
}
