//! A server's figures: what its connections have counted, added up.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::meters::Meters;
use crate::session::{Durations, NO_ROUTE, RouteTally, Tally, Traffic};

/// Seconds remembered: five minutes, the present one included.
const SECONDS: usize = 300;

/// Places of a ring of seconds: one more, which is always empty and so marks the present.
pub(super) const RING: u64 = SECONDS as u64 + 1;

/// What was counted of a server or of one of its paths.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Figures {
    /// Frames, messages and bytes.
    pub traffic: Traffic,
    /// Every call that was answered.
    pub durations: Durations,
    /// The same by second, in order; seconds without a call are left out.
    recent: VecDeque<(u64, Durations)>,
    /// The second in which these figures were taken.
    second: u64,
}

impl Figures {
    fn add(&mut self, tally: &RouteTally, second: u64) {
        self.traffic.add(&tally.traffic);
        if tally.durations.calls() == 0 {
            return;
        }
        self.durations.add(&tally.durations);
        let after = self.recent.partition_point(|(at, _)| *at <= second);
        match after.checked_sub(1).and_then(|at| self.recent.get_mut(at)) {
            Some((at, durations)) if *at == second => durations.add(&tally.durations),
            _ => self.recent.insert(after, (second, tally.durations)),
        }
        while self.recent.len() > SECONDS {
            self.recent.pop_front();
        }
    }

    /// The calls of the last five minutes by the second in which they were answered, oldest first: 300 seconds, the
    /// present one last.
    pub fn recent(&self) -> Vec<Durations> {
        let mut seconds = vec![Durations::default(); SECONDS];
        for (second, durations) in &self.recent {
            let ago = self.second.checked_sub(*second);
            let place = ago.and_then(|ago| SECONDS.checked_sub(1 + ago as usize));
            if let Some(place) = place.and_then(|place| seconds.get_mut(place)) {
                *place = *durations;
            }
        }
        seconds
    }

    /// The same as a ring: second n since the server began is at n modulo 301. The place behind the present second's is
    /// empty always.
    pub(super) fn ring(&self) -> Vec<Durations> {
        let mut ring = self.recent();
        ring.push(Durations::default());
        // The empty place is last, and belongs behind the present second's.
        ring.rotate_right(((self.second + 2) % RING) as usize);
        ring
    }
}

/// See the module's documentation. Locked once a second by each busy connection, and by who reads.
pub(super) struct Books {
    began: Instant,
    pub(super) meters: Meters,
    figures: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    total: Figures,
    routes: Vec<Figures>,
}

impl Books {
    pub(super) fn new(began: Instant, meters: Meters) -> Self {
        Self {
            began,
            meters,
            figures: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }

    /// Tells a connection the time, if calls were answered since it knew. With a new second, what was counted in the one
    /// before is added.
    #[inline(never)]
    pub(super) fn settle(&self, tally: &mut Tally, now: Instant) {
        self.keep_up(tally, now);
        tally.settle(now, |route, nanos, calls| {
            self.meters.answered(route, nanos, calls);
        });
    }

    /// With a new second, adds what was counted in the one before.
    #[inline(always)]
    pub(super) fn keep_up(&self, tally: &mut Tally, now: Instant) {
        if tally.until.is_none_or(|until| now >= until) {
            self.turn(tally, now);
        }
    }

    #[cold]
    fn turn(&self, tally: &mut Tally, now: Instant) {
        self.add(tally);
        tally.second = self.second(now);
        tally.until = Some(self.began + Duration::from_secs(tally.second + 1));
    }

    /// Takes over what a connection has counted.
    pub(super) fn add(&self, tally: &mut Tally) {
        let mut inner = self.lock();
        let second = tally.second;
        tally.take(|route, tally| {
            self.meters.add(route, tally);
            inner.total.add(tally, second);
            if route == NO_ROUTE {
                return;
            }
            let index = route as usize;
            if index >= inner.routes.len() {
                inner.routes.resize_with(index + 1, Figures::default);
            }
            if let Some(figures) = inner.routes.get_mut(index) {
                figures.add(tally, second);
            }
        });
    }

    /// A copy of the server's figures.
    pub(super) fn total(&self, now: Instant) -> Figures {
        let mut figures = self.lock().total.clone();
        figures.second = self.second(now);
        figures
    }

    /// A copy of one route's figures.
    pub(super) fn route(&self, index: usize, now: Instant) -> Figures {
        let mut figures = self.lock().routes.get(index).cloned().unwrap_or_default();
        figures.second = self.second(now);
        figures
    }
}
