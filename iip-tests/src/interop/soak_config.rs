//! How long and how hard the soak cases work.

use std::time::Duration;

/// How long and how hard the soak cases work. The defaults are small, for a run among other tests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoakConfig {
    /// Calls of each soak case, all callers together; default 50.
    pub iterations: u32,
    /// Callers of the concurrent soak cases; default 8.
    pub callers: u32,
    /// How many calls may fail; default 0. More fail the case.
    pub max_failures: u32,
    /// How long a call may take; default `None`, as long as it likes. One that takes longer counts as failed.
    pub max_latency: Option<Duration>,
    /// How long a case may take; default 100 s. Calls not made by then fail the case.
    pub overall_timeout: Duration,
    /// The least time from the start of a caller's call to the start of its next one; default 0.
    pub min_time_between: Duration,
    /// Size of the requests' payloads, bytes; default 271,828.
    pub request_size: u32,
    /// Size of the replies' payloads, bytes; default 314,159.
    pub reply_size: u32,
    /// Calls of `long_lived_channel`; default 5.
    pub interval_calls: u32,
    /// From call to call of `long_lived_channel`; default 10 ms.
    pub interval: Duration,
}

impl Default for SoakConfig {
    fn default() -> Self {
        Self {
            iterations: 50,
            callers: 8,
            max_failures: 0,
            max_latency: None,
            overall_timeout: Duration::from_secs(100),
            min_time_between: Duration::ZERO,
            request_size: 271_828,
            reply_size: 314_159,
            interval_calls: 5,
            interval: Duration::from_millis(10),
        }
    }
}
