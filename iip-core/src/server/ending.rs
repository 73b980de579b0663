use std::sync::atomic::Ordering;

use super::route::Failure;
use super::shared::{ServerShared, ServerState};
use crate::conn::Wakeups;
use crate::session::{CallId, ErrorReply, Format, Profile};

/// Which calls a drain cuts short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Streams of messages.
    Streams,
    All,
}

/// Answers calls whose handlers still run, and those that wait for their turn. Handlers that wait are stopped; one that
/// is being polled is so at its next await.
pub(super) fn end_calls(
    shared: &ServerShared,
    state: &mut ServerState,
    which: Which,
    wakeups: &mut Wakeups,
) {
    if which == Which::All {
        end_waiting(shared, state, wakeups);
    }
    let native = state.session.profile() == Profile::Native;
    let running: Vec<_> = state
        .running
        .iter()
        .filter(|(_, running)| !running.abandoned)
        .map(|(call, running)| (*call, running.route))
        .collect();
    for (call, route) in running {
        let streams = native && shared.core.router.streams(route);
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
        answer(shared, state, call, route, &failure, wakeups);
    }
}

/// Refuses the calls that wait for their turn: another server may take them.
fn end_waiting(shared: &ServerShared, state: &mut ServerState, wakeups: &mut Wakeups) {
    let waiting: Vec<_> = state.waiting.keys().copied().collect();
    for call in waiting {
        match shared.forget_waiting(state, call) {
            Some(waits) if waits.begun => {
                shared.core.cut_calls.fetch_add(1, Ordering::Relaxed);
                answer(shared, state, call, waits.route, &Failure::Aborted, wakeups);
            }
            Some(_) => {
                let stopping = ErrorReply::new(ErrorReply::DRAINING, "the server is stopping");
                state.session.refuse(call, &stopping);
            }
            None => {}
        }
    }
}

/// Answers a call that has taken too long; its handler is stopped at its next await.
pub(super) fn end_late(
    shared: &ServerShared,
    call: CallId,
    failure: &Failure,
    wakeups: &mut Wakeups,
) {
    let mut state = shared.lock();
    let (route, failure) = match shared.forget_waiting(&mut state, call) {
        Some(waits) if waits.begun => (waits.route, failure),
        Some(waits) => {
            shared.core.gate.expire();
            match failure {
                Failure::Expired => (waits.route, &Failure::ExpiredWaiting),
                _ => (waits.route, failure),
            }
        }
        None => match state.running.get(&call).map(|running| running.route) {
            Some(route) if state.stop(call) => (route, failure),
            _ => return,
        },
    };
    answer(shared, &mut state, call, route, failure, wakeups);
}

/// Gives a call the framework's own answer.
fn answer(
    shared: &ServerShared,
    state: &mut ServerState,
    call: CallId,
    route: usize,
    failure: &Failure,
    wakeups: &mut Wakeups,
) {
    let Some(entry) = shared.core.router.entries.get(route) else {
        return;
    };
    let native = state.session.profile() == Profile::Native;
    let enveloped = native && entry.route.format() == Format::Enveloped;
    let payload = entry.route.failure(failure, enveloped);
    state.session.abort(call, payload);
    if let Some(inbox) = state.inboxes.get_mut(&call) {
        for waker in inbox.take_wakers() {
            wakeups.add(Some(waker));
        }
    }
}
