use std::time::{Duration, Instant};

use super::window::Window;
use crate::{Outcome, Status};

/// Time that one slot of the window stands for, and how many there are: 2 minutes in all.
const STEP: Duration = Duration::from_secs(10);
const STEPS: usize = 12;

/// Refuses calls on the caller's side while the servers refuse most of them, so that refusing costs them nothing; for
/// [`ChannelBuilder::throttle`](crate::client::ChannelBuilder::throttle).
///
/// Of the attempts of the last two minutes let `requests` be all, those refused here included, and `accepts` those that a
/// server took. An attempt is refused here with the probability `(requests - ratio * accepts) / (requests + 1)`, as far as
/// that is above 0: `UNAVAILABLE` with the outcome *not sent*, which is not made again. A server took an attempt unless
/// it, or the network, answered `UNAVAILABLE` or *not processed*, or did not answer within the attempt's time.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "throttling does nothing until a channel has it"]
pub struct Throttle {
    ratio: f64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { ratio: 2.0 }
    }
}

impl Throttle {
    /// How many attempts are made for each that is accepted, at least 1; default 2. More finds out sooner that the servers
    /// are well again, and costs them more refusals.
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = if ratio.is_finite() {
            ratio.max(1.0)
        } else {
            2.0
        };
        self
    }
}

/// What [`Throttle`] goes by.
#[derive(Debug)]
pub(super) struct Throttling {
    ratio: f64,
    requests: Window<STEPS>,
    accepts: Window<STEPS>,
}

impl Throttling {
    pub(super) fn new(throttle: &Throttle, now: Instant) -> Self {
        Self {
            ratio: throttle.ratio,
            requests: Window::new(now, STEP),
            accepts: Window::new(now, STEP),
        }
    }

    /// Counts an attempt, and refuses it if so it has to be. `random` is from 0 to 1, without 1.
    pub(super) fn admit(&self, now: Instant, random: f64) -> Result<(), Status> {
        let rejected = random < self.rejection(now);
        self.requests.add(now);
        if !rejected {
            return Ok(());
        }
        let text = "the servers refused too many of the last calls, so that this one was not sent (setting: throttle)";
        Err(Status::unavailable(text)
            .with_phase("throttle")
            .with_outcome(Outcome::NotSent))
    }

    /// A server took an attempt.
    pub(super) fn accepted(&self, now: Instant) {
        self.accepts.add(now);
    }

    /// How probable it is that an attempt is refused.
    pub(super) fn rejection(&self, now: Instant) -> f64 {
        let requests = self.requests.sum(now) as f64;
        let accepts = self.accepts.sum(now) as f64;
        ((requests - self.ratio * accepts) / (requests + 1.0)).max(0.0)
    }
}
