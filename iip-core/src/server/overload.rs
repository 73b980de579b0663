use std::thread::available_parallelism;
use std::time::Duration;

use crate::session::Criticality;

/// What becomes of calls that a server cannot take at once, beside those beyond
/// [`max_in_flight`](super::ServerBuilder::max_in_flight). `docs/overload.md` says which limit when.
///
/// It concerns native peers. Plain ones, which would take a refusal for an answer, are not read from while they have too
/// many calls ([`Limits::max_plain_in_flight`](crate::session::Limits::max_plain_in_flight)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overload {
    pub(super) per_connection: usize,
    pub(super) adaptive: Option<AdaptiveLimit>,
    pub(super) queue: usize,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            per_connection: 2048,
            adaptive: None,
            queue: 0,
        }
    }
}

impl Overload {
    /// Calls in progress of one connection, those that are answered at once not counted, and those that wait counted;
    /// default 2,048. Beyond it calls are refused with code 109. A smaller value keeps one client from taking all there
    /// is.
    #[must_use]
    pub fn per_connection(mut self, calls: usize) -> Self {
        self.per_connection = calls;
        self
    }

    /// Finds by itself how many calls the server works on at a time, and refuses those beyond; default not. Costs two
    /// readings of the clock for each call that is not answered at once.
    #[must_use]
    pub fn adaptive(mut self, limit: AdaptiveLimit) -> Self {
        self.adaptive = Some(limit);
        self
    }

    /// Calls that may wait for their turn when there is no room for them, over all connections; default 0. Each costs
    /// its request's bytes and about 300 bytes more. A call that is not begun at its deadline never is.
    #[must_use]
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }
}

/// Bounds of a limit that follows what a server can do.
///
/// It shrinks when calls take longer than they would with nobody else there, and grows when they do not. How long they
/// take is measured from their arrival to their answer, of each path by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveLimit {
    pub(super) min: usize,
    pub(super) max: usize,
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            min: 2 * cores,
            max: 10_000,
        }
    }
}

impl AdaptiveLimit {
    /// The least that the limit may be, in calls; at least 1, default twice the number of cores. A server whose calls
    /// mostly wait for others should have what those can take.
    #[must_use]
    pub fn min(mut self, calls: usize) -> Self {
        self.min = calls.max(1);
        self
    }

    /// The most that the limit may be, in calls; default 10,000. It is never above
    /// [`max_in_flight`](super::ServerBuilder::max_in_flight).
    #[must_use]
    pub fn max(mut self, calls: usize) -> Self {
        self.max = calls.max(1);
        self
    }
}

/// How many calls may be in progress for a further one of this criticality to begin, under this limit.
pub(super) fn share(criticality: Criticality, limit: usize) -> usize {
    match criticality {
        Criticality::Sheddable => limit - limit / 4,
        Criticality::Critical => limit,
        Criticality::CriticalPlus => limit + limit / 4,
    }
}

/// What a route tells of a request before its handler begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// How long its caller waits for the answer, from its arrival; `None`: for ever.
    pub timeout: Option<Duration>,
    /// How much the call matters.
    pub criticality: Criticality,
}

impl Terms {
    /// The terms of a call.
    pub fn new(timeout: Option<Duration>, criticality: Criticality) -> Self {
        Self {
            timeout,
            criticality,
        }
    }
}

/// What a server's limits of calls have done since it was made. Calls that are answered at once are in none of the
/// numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverloadStats {
    /// Calls in progress.
    pub in_flight: usize,
    /// How many there may be now.
    pub limit: usize,
    /// Calls refused because there were as many.
    pub refused_limit: u64,
    /// How many one connection may have.
    pub per_connection: usize,
    /// Calls refused because their connection had as many.
    pub refused_per_connection: u64,
    /// Calls refused because too many handlers of their connection ran on after their deadline.
    pub refused_abandoned: u64,
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// How many may wait.
    pub queue: usize,
    /// Calls that have waited and were refused: for want of room, or since they would not have been ended in time.
    pub refused_waiting: u64,
    /// Calls whose deadline passed while they waited.
    pub expired_waiting: u64,
}
