use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::layer::Guard;
use crate::{Outcome, Status};

/// Bounds what a channel's calls hold together, so that a server that hangs does not take its callers with it; for
/// [`ChannelBuilder::circuit_breaker`](crate::client::ChannelBuilder::circuit_breaker). Beyond a limit a call fails at once:
/// `UNAVAILABLE` with the outcome *not sent*, which is not made again. Without this setting nothing is bounded so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a circuit breaker does nothing until a channel has it"]
pub struct CircuitBreaker {
    max_calls: Option<usize>,
    max_pending: Option<usize>,
    max_retries: Option<usize>,
}

impl CircuitBreaker {
    /// Limits that are set one by one; none to begin with.
    pub fn new() -> Self {
        Self::default()
    }

    /// Most calls in progress: a streamed response counts until its end was taken or it is dropped. Default: any number.
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = Some(calls);
        self
    }

    /// Most calls that wait for a connection or a free channel of one. Default: any number that the channel's `max_waiting`
    /// allows.
    pub fn max_pending(mut self, calls: usize) -> Self {
        self.max_pending = Some(calls);
        self
    }

    /// Most attempts in progress that are not the first of their calls. Beyond, the failure of the attempt before is
    /// final. Default: any number.
    pub fn max_retries(mut self, attempts: usize) -> Self {
        self.max_retries = Some(attempts);
        self
    }
}

/// What [`CircuitBreaker`] counts.
#[derive(Debug)]
pub(super) struct Breaker {
    calls: Gate,
    pending: Gate,
    retries: Gate,
}

/// Lets so many in at a time.
#[derive(Debug)]
struct Gate {
    most: usize,
    inside: Arc<AtomicUsize>,
}

/// A place inside, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    inside: Arc<AtomicUsize>,
}

/// It needs only to be kept.
impl Guard for Permit {}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    fn new(most: Option<usize>) -> Self {
        Self {
            most: most.unwrap_or(usize::MAX),
            inside: Arc::default(),
        }
    }

    fn enter(&self) -> Option<Permit> {
        let entered = self
            .inside
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |inside| {
                (inside < self.most).then_some(inside + 1)
            });
        entered.is_ok().then(|| Permit {
            inside: Arc::clone(&self.inside),
        })
    }
}

impl Breaker {
    pub(super) fn new(settings: &CircuitBreaker) -> Self {
        Self {
            calls: Gate::new(settings.max_calls),
            pending: Gate::new(settings.max_pending),
            retries: Gate::new(settings.max_retries),
        }
    }

    /// For a call, until it has ended.
    pub(super) fn call(&self) -> Result<Permit, Status> {
        let refused = || refused(self.calls.most, "are in progress", "max_calls");
        self.calls.enter().ok_or_else(refused)
    }

    /// For an attempt that waits for a connection.
    pub(super) fn pending(&self) -> Result<Permit, Status> {
        let refused = || refused(self.pending.most, "wait for a connection", "max_pending");
        self.pending.enter().ok_or_else(refused)
    }

    /// For an attempt after the first one, while it is in progress.
    pub(super) fn retry(&self) -> Option<Permit> {
        self.retries.enter()
    }
}

fn refused(most: usize, what: &str, setting: &str) -> Status {
    let text = format!(
        "{most} calls of this channel {what} already (setting: circuit_breaker, {setting})"
    );
    Status::unavailable(text)
        .with_phase("circuit breaker")
        .with_outcome(Outcome::NotSent)
}
