use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::retry::Retry;
use super::window::Window;

/// Seconds of calls that the budget looks back on.
const SECONDS: usize = 10;

/// Tokens are counted in thousandths.
const TOKEN: u32 = 1000;

/// How much load a channel's further attempts may add, all of its calls together.
#[derive(Debug)]
pub(super) struct Budget {
    ratio: f64,
    floor: f64,
    calls: Window<SECONDS>,
    /// The attempts that were allowed. Locked so that calls which fail together cannot share one.
    allowed: Mutex<Window<SECONDS>>,
    most_tokens: u32,
    refill: u32,
    tokens: AtomicU32,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// There were too many of late.
    Budget,
    /// Those there were did not help.
    Tokens,
}

impl Budget {
    pub(super) fn new(policy: &Retry, now: Instant) -> Self {
        let second = Duration::from_secs(1);
        let most_tokens = policy.tokens * TOKEN;
        Self {
            ratio: policy.budget,
            floor: f64::from(policy.budget_floor) * SECONDS as f64,
            calls: Window::new(now, second),
            allowed: Mutex::new(Window::new(now, second)),
            most_tokens,
            refill: (policy.token_ratio * f64::from(TOKEN)).round() as u32,
            tokens: AtomicU32::new(most_tokens),
        }
    }

    /// A call begins.
    #[inline]
    pub(super) fn called(&self, now: Instant) {
        self.calls.add(now);
    }

    /// A call has succeeded.
    #[inline]
    pub(super) fn succeeded(&self) {
        if self.tokens.load(Ordering::Relaxed) < self.most_tokens {
            self.change(|tokens| tokens.saturating_add(self.refill).min(self.most_tokens));
        }
    }

    /// An attempt after the first one has failed.
    pub(super) fn failed_again(&self) {
        self.change(|tokens| tokens.saturating_sub(TOKEN));
    }

    fn change(&self, change: impl Fn(u32) -> u32) {
        // Never an error: the change is always one.
        let _ = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                Some(change(tokens))
            });
    }

    /// Takes one further attempt, if there is one.
    pub(super) fn take(&self, now: Instant) -> Result<(), Denied> {
        if self.tokens.load(Ordering::Relaxed) <= self.most_tokens / 2 {
            return Err(Denied::Tokens);
        }
        let allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let most = self.floor + self.ratio * self.calls.sum(now) as f64;
        if allowed.sum(now) as f64 + 1.0 > most {
            return Err(Denied::Budget);
        }
        allowed.add(now);
        Ok(())
    }
}
