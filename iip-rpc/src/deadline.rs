//! Deadlines. On the wire a deadline is the time that remains, so that the clocks of two machines never meet; in a
//! process it is an instant.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Deadline of a call that has none of its own, when neither side sets another default.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest a server lets a call take, whatever the client asks for.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The `timeout_us` of a call without a deadline.
pub(crate) const NO_DEADLINE: u64 = u64::MAX;

thread_local! {
    /// Deadline of the call whose handler this thread is polling.
    static CURRENT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time, by the clock of the runtime's timers, so that tests in virtual time see theirs.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The instant `timeout` from now; `None` when it is beyond what the clock can say.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    now().checked_add(timeout)
}

/// When a call must end that `arrived` with this `timeout_us` in its HEAD (absent: `default`), at most a day later.
/// `None`: it has no deadline.
pub(crate) fn on_arrival(
    arrived: Instant,
    timeout_us: Option<u64>,
    default: Option<Duration>,
) -> Option<Instant> {
    arrived.checked_add(timeout(timeout_us, default)?)
}

/// How long a call may take with this `timeout_us` in its HEAD (absent: `default`), at most a day. `None`: it has no
/// deadline.
pub(crate) fn timeout(timeout_us: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    let timeout = match timeout_us {
        None => default?,
        Some(NO_DEADLINE) => return None,
        Some(microseconds) => Duration::from_micros(microseconds),
    };
    Some(timeout.min(MAX_TIMEOUT))
}

/// `duration` in microseconds, as much as a `timeout_us` can say of it without meaning that there is none.
pub(crate) fn whole_microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(NO_DEADLINE - 1)
}

/// The deadline that calls made by the handler being polled on this thread inherit: that of the handler's own call,
/// less 1 ms and 1 %, so that the handler can still answer when they time out.
pub(crate) fn inherited() -> Option<Instant> {
    let parent = CURRENT.get()?;
    let now = now();
    let remaining = parent.saturating_duration_since(now);
    let margin = Duration::from_millis(1) + remaining / 100;
    now.checked_add(remaining.saturating_sub(margin))
}

/// While this guard lives, calls made on this thread inherit `deadline`.
pub(crate) struct Inherit {
    outer: Option<Instant>,
}

impl Inherit {
    pub(crate) fn enter(deadline: Option<Instant>) -> Self {
        Self {
            outer: CURRENT.replace(deadline),
        }
    }
}

impl Drop for Inherit {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}
