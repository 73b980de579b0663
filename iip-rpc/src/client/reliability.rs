use std::time::Instant;

use super::breaker::{Breaker, CircuitBreaker};
use super::budget::Budget;
use super::hedge::Hedge;
use super::retry::Retry;
use super::throttle::{Throttle, Throttling};
use crate::deadline::now;
use crate::{Idempotency, MethodDescriptor, Request};

/// What of a channel's settings is about calls that fail.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) retry: Retry,
    pub(super) hedge: Option<Hedge>,
    pub(super) throttle: Option<Throttle>,
    pub(super) breaker: Option<CircuitBreaker>,
    /// By path, what is said of methods instead of what their `.proto` file says.
    pub(super) idempotency: Vec<(String, Idempotency)>,
}

/// The settings, and what all calls of the channel share for them.
#[derive(Debug)]
pub(super) struct Reliability {
    pub(super) retry: Retry,
    pub(super) hedge: Option<Hedge>,
    pub(super) throttling: Option<Throttling>,
    pub(super) breaker: Option<Breaker>,
    pub(super) budget: Budget,
    idempotency: Vec<(String, Idempotency)>,
    /// A call needs more than an attempt and, if that fails, what comes then.
    pub(super) prepares: bool,
}

impl Reliability {
    pub(super) fn new(settings: Settings) -> Self {
        let now: Instant = now();
        Self {
            prepares: settings.hedge.is_some()
                || settings.throttle.is_some()
                || settings.breaker.is_some()
                || settings.retry.attempt_timeout.is_some(),
            budget: Budget::new(&settings.retry, now),
            throttling: settings
                .throttle
                .map(|throttle| Throttling::new(&throttle, now)),
            breaker: settings.breaker.map(|breaker| Breaker::new(&breaker)),
            retry: settings.retry,
            hedge: settings.hedge,
            idempotency: settings.idempotency,
        }
    }

    /// What it means to run a call twice: what the call says, or the channel, or the `.proto` file.
    pub(super) fn idempotency(
        &self,
        request: &Request<()>,
        method: &MethodDescriptor,
    ) -> Idempotency {
        let said = || {
            let mut said = self.idempotency.iter();
            let (_, level) = said.find(|(path, _)| path == method.path())?;
            Some(*level)
        };
        let own = request.own_idempotency();
        own.or_else(said).unwrap_or(method.idempotency())
    }
}
