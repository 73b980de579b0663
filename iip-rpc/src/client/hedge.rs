use std::time::Duration;

/// Further attempts of a call while the first one is still waited for; the first answer counts, and the others are
/// cancelled. For [`ChannelBuilder::hedge`].
///
/// Only unary methods without side effects are hedged: `idempotency_level = NO_SIDE_EFFECTS` in the `.proto` file, or
/// what [`Request::with_idempotency`] and [`ChannelBuilder::idempotency`] say instead. Each further attempt is one of those
/// that [`Retry::budget`] allows. The [policy](crate::client::Retry) does not apply to hedged calls beside it.
///
/// [`ChannelBuilder::hedge`]: crate::client::ChannelBuilder::hedge
/// [`ChannelBuilder::idempotency`]: crate::client::ChannelBuilder::idempotency
/// [`Request::with_idempotency`]: crate::Request::with_idempotency
/// [`Retry::budget`]: crate::client::Retry::budget
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "hedging does nothing until a channel has it"]
pub struct Hedge {
    pub(super) delay: Duration,
    pub(super) attempts: u32,
}

impl Hedge {
    /// Begins another attempt when there is no answer after `delay`; at once when an attempt fails in a way that another
    /// one may mend. A good delay is the time within which 95 of 100 calls are answered: the others are made twice. Each
    /// call of a hedged method costs a timer and a few allocations.
    pub fn after(delay: Duration) -> Self {
        Self { delay, attempts: 2 }
    }

    /// Most attempts of a call, the first one included; from 2 to 10, default 2.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(2, 10);
        self
    }
}
