use std::time::Duration;

/// Which failed calls a channel makes again, how often and how soon; for [`ChannelBuilder::retry`]. The page
/// `docs/retries.md` has the whole table.
///
/// This is the policy for calls that may have run: methods that the `.proto` file marks with `idempotency_level`, or
/// the application with [`Request::with_idempotency`] or [`ChannelBuilder::idempotency`]. Whatever the policy says, a call
/// of which no server has seen all is made again until its deadline, and one that a server refused before it ran is made
/// again once, of any method; and no other call of a method without such a mark ever is.
///
/// All attempts of a call share its deadline.
///
/// [`ChannelBuilder::retry`]: crate::client::ChannelBuilder::retry
/// [`ChannelBuilder::idempotency`]: crate::client::ChannelBuilder::idempotency
/// [`Request::with_idempotency`]: crate::Request::with_idempotency
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a policy does nothing until a channel has it"]
pub struct Retry {
    pub(super) attempts: u32,
    first_backoff: Duration,
    most_backoff: Duration,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) budget: f64,
    pub(super) budget_floor: u32,
    pub(super) tokens: u32,
    pub(super) token_ratio: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self::safe()
    }
}

impl Retry {
    /// The default: three attempts, where running a method twice does no harm.
    pub fn safe() -> Self {
        Self {
            attempts: 3,
            first_backoff: Duration::from_millis(50),
            most_backoff: Duration::from_secs(1),
            attempt_timeout: None,
            budget: 0.1,
            budget_floor: 3,
            tokens: 10,
            token_ratio: 0.1,
        }
    }

    /// No attempt after one that may have run.
    pub fn off() -> Self {
        Self::safe().attempts(1)
    }

    /// Most attempts of a call, the first one included; default 3, at least 1. Those that were never sent, and the one
    /// after a refusal, do not count.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long to wait before an attempt: drawn at random between nothing and `first`, which doubles with each attempt
    /// up to `most`. Default 50 ms and 1 s. A server that says how long ([`Status::with_retry_after`]) goes before.
    ///
    /// [`Status::with_retry_after`]: crate::Status::with_retry_after
    pub fn backoff(mut self, first: Duration, most: Duration) -> Self {
        self.first_backoff = first;
        self.most_backoff = most;
        self
    }

    /// How long one attempt may take before the next one; default `None`, as long as the call may. It counts for calls
    /// that may be made again, and not for their last attempt; the server is told it as the attempt's deadline. After it
    /// another attempt is made if at least half as long is left of the call's time. Costs each call of the channel
    /// a few allocations.
    pub fn attempt_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.attempt_timeout = timeout.into();
        self
    }

    /// Attempts after the first ones, in proportion to the calls of the last 10 s, of all calls of the channel
    /// together: from 0 to 1, default 0.1. [`budget_floor`](Self::budget_floor) comes on top of it. Beyond, failures are
    /// final. What was never sent costs nothing of it, nor does the one attempt after the refusal of a server that stops.
    pub fn budget(mut self, ratio: f64) -> Self {
        self.budget = if ratio.is_finite() {
            ratio.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self
    }

    /// Attempts after the first ones that are allowed beside the [`budget`](Self::budget), a second; default 3.
    pub fn budget_floor(mut self, per_second: u32) -> Self {
        self.budget_floor = per_second;
        self
    }

    /// A second brake, for when attempts do not help: there are `tokens`, at least 1 and at most 1,000; an attempt after
    /// the first one that fails takes one of them, a call that succeeds gives `ratio` of one back, and while no more than
    /// half are there a failure is final. Default 10 and 0.1.
    pub fn tokens(mut self, tokens: u32, ratio: f64) -> Self {
        self.tokens = tokens.clamp(1, 1000);
        self.token_ratio = if ratio.is_finite() {
            ratio.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self
    }

    /// The wait before the repetition `number`, counted from 0. `random` is from 0 to 1.
    pub(super) fn delay(&self, number: u32, random: f64) -> Duration {
        let grown = 1_u32
            .checked_shl(number)
            .map(|times| self.first_backoff.checked_mul(times));
        let ceiling = grown
            .flatten()
            .unwrap_or(self.most_backoff)
            .min(self.most_backoff);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }
}
