use std::time::Duration;

use fastrand::Rng;

/// Ceiling of the first delay. One failed dial says little, and a server that restarts is back in
/// about this time.
const BASE: Duration = Duration::from_millis(100);

/// Growth of the ceiling from one failed dial to the next. With 2 the ceiling reaches its maximum
/// in five steps.
const FACTOR: f64 = 2.0;

/// Largest ceiling. A server that comes back must have its clients again within 2 s (delay and dial
/// together), and a refused dial costs it less than a call, so the minutes that are usual over the
/// internet would gain nothing here.
const MAX: Duration = Duration::from_millis(1500);

/// Smallest delay, whatever the jitter says: no client dials one address more than 50 times a
/// second.
const MIN: Duration = Duration::from_millis(20);

/// A connection that lived this long proves that the server works. One that is accepted and closed
/// at once (a limit, a proxy without a backend) proves nothing, and must not turn the delay into a
/// busy loop.
const RESET_AFTER: Duration = Duration::from_secs(5);

/// How long a client waits before it dials an address again after a failure.
///
/// The delay is drawn evenly between the minimum and a ceiling (full jitter), so that clients which
/// lost the same server at the same moment do not come back at the same moment. The ceiling grows
/// by a factor with each failure, up to a maximum. It starts again at the base once a connection
/// has lived for some time, for which the base is enough where its server ended it in an orderly way.
///
/// Defaults: minimum 20 ms, base 100 ms, factor 2, maximum 1.5 s, start again after 5 s.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BackoffConfig {
    min: Duration,
    base: Duration,
    factor: f64,
    max: Duration,
    reset_after: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            min: MIN,
            base: BASE,
            factor: FACTOR,
            max: MAX,
            reset_after: RESET_AFTER,
        }
    }
}

impl BackoffConfig {
    /// Smallest delay: default 20 ms. It wins over the other settings where they contradict it.
    ///
    /// A larger value spares a server that refuses connections, and a short interruption lasts
    /// longer.
    #[must_use]
    pub fn min(mut self, delay: Duration) -> Self {
        self.min = delay;
        self
    }

    /// Ceiling of the delay after the first failure: default 100 ms.
    ///
    /// A larger value spreads the clients of a restarted server over more time.
    #[must_use]
    pub fn base(mut self, delay: Duration) -> Self {
        self.base = delay;
        self
    }

    /// Growth of the ceiling with each further failure: at least 1 (anything else counts as 1),
    /// default 2.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Largest ceiling of the delay: default 1.5 s.
    ///
    /// A larger value means fewer dials to a server that is away, and a later return to it: on
    /// average half of this time, at most all of it.
    #[must_use]
    pub fn max(mut self, delay: Duration) -> Self {
        self.max = delay;
        self
    }

    /// Life of a connection after which its loss counts as a first failure: default 5 s.
    ///
    /// A larger value spares a server that closes connections soon after it has accepted them.
    #[must_use]
    pub fn reset_after(mut self, life: Duration) -> Self {
        self.reset_after = life;
        self
    }

    /// The settings with their contradictions resolved.
    fn normal(mut self) -> Self {
        self.max = self.max.max(self.min);
        self.base = self.base.clamp(self.min, self.max);
        // Also catches NaN.
        if !(self.factor.is_finite() && self.factor >= 1.0) {
            self.factor = 1.0;
        }
        self
    }
}

/// The state of [`BackoffConfig`] for one address, as pure data: it has no clock and no randomness
/// of its own.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    config: BackoffConfig,
    /// Ceiling of the next delay.
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn new(config: BackoffConfig) -> Self {
        let config = config.normal();
        Self {
            ceiling: config.base,
            config,
        }
    }

    /// The delay after one more failure.
    pub(crate) fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        let Self { config, ceiling } = self;
        let delay = evenly(rng, config.min, *ceiling);
        let grown = ceiling.as_secs_f64() * config.factor;
        *ceiling =
            Duration::try_from_secs_f64(grown).map_or(config.max, |grown| grown.min(config.max));
        delay
    }

    /// Takes note of the end of a connection that had lived for `life`; `orderly`: its server said so before. False: it
    /// proves nothing, and the next attempt is to wait like one after a failure.
    pub(crate) fn connection_ended(&mut self, life: Duration, orderly: bool) -> bool {
        let enough = match orderly {
            true => self.config.base.min(self.config.reset_after),
            false => self.config.reset_after,
        };
        let proven = life >= enough;
        if proven {
            self.ceiling = self.config.base;
        }
        proven
    }
}

fn evenly(rng: &mut Rng, from: Duration, to: Duration) -> Duration {
    let span = to.saturating_sub(from).as_nanos();
    // 584 years of nanoseconds fit; nobody waits longer.
    let span = u64::try_from(span).unwrap_or(u64::MAX);
    from.saturating_add(Duration::from_nanos(rng.u64(0..=span)))
}
