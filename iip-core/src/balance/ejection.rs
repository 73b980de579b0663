use std::time::{Duration, Instant};

use crate::session::LONGEST;

/// Buckets of the window, a second each.
const WINDOW: usize = 10;

/// Differences of latency below this are noise, whatever their ratio.
const NOTICEABLE: Duration = Duration::from_millis(1);

/// Passive health: when an endpoint that is connected and yet fails, or is slow, gets no more calls, and how it comes
/// back. Judged by the results of the calls themselves; nothing is sent for it.
///
/// An endpoint is ejected after 5 failures in a row, or when more than half of at least 20 calls within 10 s failed,
/// but never more than half of all endpoints are. Every 5 s one call is sent to it as a probe; if that succeeds, the
/// endpoint returns. Its share of the calls then grows over 5 s, the second time in a row over 10 s, and so on up to
/// 60 s; every 5 s without an ejection take one of those times back.
///
/// A failure is a call whose connection was lost, whose deadline passed while the endpoint had it, or that was answered
/// with a status that says that the server is at fault. A call that was given up, or refused by a server that stops or has
/// too much to do, says nothing.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Ejection {
    consecutive: Option<u32>,
    ratio: Option<f64>,
    min_calls: u32,
    latency: Option<f64>,
    probe_every: Duration,
    ramp: Duration,
    max_ramp: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            ratio: Some(0.5),
            min_calls: 20,
            latency: None,
            probe_every: Duration::from_secs(5),
            ramp: Duration::from_secs(5),
            max_ramp: Duration::from_secs(60),
        }
    }
}

impl Ejection {
    /// No endpoint is ejected, whatever its calls come to.
    pub fn off() -> Self {
        Self {
            consecutive: None,
            ratio: None,
            latency: None,
            ..Self::default()
        }
    }

    /// Failures in a row that eject; default 5, at least 1. `None`: any number is borne.
    pub fn consecutive_failures(mut self, count: impl Into<Option<u32>>) -> Self {
        self.consecutive = count.into().map(|count| count.max(1));
        self
    }

    /// Share of failed calls within 10 s above which an endpoint is ejected, 0 to 1; default 0.5. `None`: any share is
    /// borne.
    pub fn failure_ratio(mut self, share: impl Into<Option<f64>>) -> Self {
        self.ratio = share.into();
        self
    }

    /// Calls within 10 s below which neither the share of failures nor the latency means anything; default 20, at least 1.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls.max(1);
        self
    }

    /// Ejects an endpoint whose mean latency within 10 s is more than so many times the median of all endpoints' and at
    /// least 1 ms above it; default `None`: slow endpoints stay, and policies that look at latency send them less. Needs
    /// three endpoints that have been called.
    pub fn latency_factor(mut self, factor: impl Into<Option<f64>>) -> Self {
        self.latency = factor.into();
        self
    }

    /// Time between two probes of an ejected endpoint, and before the first; default 5 s, at least 1 ms. With more, fewer
    /// calls fail while the endpoint does, and one that is well again waits longer.
    pub fn probe_every(mut self, time: Duration) -> Self {
        self.probe_every = time.clamp(Duration::from_millis(1), LONGEST);
        self
    }

    /// How long the share of an endpoint grows that has returned, for each time it was ejected in a row; default 5 s, and
    /// at most 60 s in all. Zero: it has its whole share at once.
    pub fn ramp(mut self, time: Duration) -> Self {
        self.ramp = time.min(LONGEST);
        self
    }

    /// The longest such time, however often an endpoint was ejected; default 60 s.
    pub fn max_ramp(mut self, time: Duration) -> Self {
        self.max_ramp = time.min(LONGEST);
        self
    }

    /// Most endpoints out of so many that are ejected at a time.
    pub(crate) fn most(endpoints: usize) -> usize {
        endpoints / 2
    }

    /// Whether `mean` stands out among the mean latencies of all endpoints that were called.
    pub(crate) fn is_slow(&self, mean: Duration, all: &mut [Duration]) -> bool {
        let Some(factor) = self.latency.filter(|_| all.len() >= 3) else {
            return false;
        };
        all.sort_unstable();
        let median = all[(all.len() - 1) / 2];
        mean.as_secs_f64() > median.as_secs_f64() * factor && mean >= median + NOTICEABLE
    }
}

/// What the end of a call showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    Nothing,
    /// The endpoint fails, and is to be ejected.
    Failing,
    /// A second's calls are complete, and the mean latency can be compared with those of others.
    Comparable,
}

/// What the calls to one endpoint came to. Pure: time is an argument.
#[derive(Debug)]
pub(crate) struct Health {
    consecutive: u32,
    window: Window,
    /// Ejections in a row.
    times: u32,
    /// When the endpoint returned last.
    returned: Option<Instant>,
    out: Option<Out>,
    /// Makes a new number for each probe.
    probes: u64,
}

/// An ejected endpoint's state.
#[derive(Debug)]
struct Out {
    since: Instant,
    next_probe: Instant,
    /// The probe whose result counts.
    probe: Option<Probe>,
}

/// One call to an ejected endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe(u64);

impl Health {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            consecutive: 0,
            window: Window::new(now),
            times: 0,
            returned: None,
            out: None,
            probes: 0,
        }
    }

    /// A call ended that was no probe.
    pub(crate) fn ended(
        &mut self,
        settings: &Ejection,
        now: Instant,
        failed: bool,
        took: Duration,
    ) -> Finding {
        // It began before the ejection, and says nothing about the time since.
        if self.out.is_some() {
            return Finding::Nothing;
        }
        let new_second = self.window.add(now, failed, took);
        if !failed {
            self.consecutive = 0;
        } else {
            self.consecutive = self.consecutive.saturating_add(1);
            if self.is_failing(settings) {
                return Finding::Failing;
            }
        }
        match new_second && settings.latency.is_some() {
            true => Finding::Comparable,
            false => Finding::Nothing,
        }
    }

    fn is_failing(&self, settings: &Ejection) -> bool {
        if settings
            .consecutive
            .is_some_and(|most| self.consecutive >= most)
        {
            return true;
        }
        let sum = self.window.sum();
        sum.calls >= settings.min_calls
            && settings
                .ratio
                .is_some_and(|most| f64::from(sum.failures) > f64::from(sum.calls) * most)
    }

    /// The mean latency within the window, where enough calls ended. Not of an ejected endpoint.
    pub(crate) fn mean_latency(&mut self, settings: &Ejection, now: Instant) -> Option<Duration> {
        self.window.advance(now);
        let sum = self.window.sum();
        let enough = self.out.is_none() && sum.calls >= settings.min_calls;
        enough.then(|| sum.took / sum.calls.max(1))
    }

    pub(crate) fn eject(&mut self, settings: &Ejection, now: Instant) {
        if self.out.is_some() {
            return;
        }
        self.times = self.times_left(settings, now).saturating_add(1);
        self.out = Some(Out {
            since: now,
            next_probe: now + settings.probe_every,
            probe: None,
        });
    }

    /// Ejections in a row, less one for each step of the ramp that went well since the return.
    fn times_left(&self, settings: &Ejection, now: Instant) -> u32 {
        let Some(returned) = self.returned else {
            return self.times;
        };
        let well = now.saturating_duration_since(returned).as_nanos();
        let steps = well.checked_div(settings.ramp.as_nanos());
        let steps = steps.and_then(|steps| u32::try_from(steps).ok());
        self.times.saturating_sub(steps.unwrap_or(u32::MAX))
    }

    /// Since when the endpoint is ejected.
    pub(crate) fn ejected_since(&self) -> Option<Instant> {
        self.out.as_ref().map(|out| out.since)
    }

    /// When the next call may go to the ejected endpoint.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.out.as_ref().map(|out| out.next_probe)
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.consecutive
    }

    /// Ejections in a row, of which time takes one after the other back.
    pub(crate) fn times(&self, settings: &Ejection, now: Instant) -> u32 {
        match self.out {
            Some(_) => self.times,
            None => self.times_left(settings, now),
        }
    }

    /// There is a connection again. It may be another process that listens there now: a probe is due.
    pub(crate) fn reconnected(&mut self, now: Instant) {
        if let Some(out) = &mut self.out {
            out.next_probe = now;
        }
    }

    /// When the endpoint returned last, if it is not ejected.
    pub(crate) fn returned(&self) -> Option<Instant> {
        self.returned.filter(|_| self.out.is_none())
    }

    /// Makes the next call a probe if it is time for one. A probe that has not ended when the next one is due no longer
    /// counts: its call may have been lost in what made the endpoint fail.
    pub(crate) fn try_probe(&mut self, settings: &Ejection, now: Instant) -> Option<Probe> {
        let out = self.out.as_mut()?;
        if now < out.next_probe {
            return None;
        }
        self.probes += 1;
        let probe = Probe(self.probes);
        out.probe = Some(probe);
        out.next_probe = now + settings.probe_every;
        Some(probe)
    }

    /// A probe ended; `None`: without a result. `true` if the endpoint is to return.
    pub(crate) fn probe_ended(&mut self, probe: Probe, failed: Option<bool>) -> bool {
        let Some(out) = &mut self.out else {
            return false;
        };
        if out.probe != Some(probe) {
            return false;
        }
        out.probe = None;
        failed == Some(false)
    }

    /// The ejected endpoint takes calls again. Returns how long its share is to grow.
    pub(crate) fn return_to_service(&mut self, settings: &Ejection, now: Instant) -> Duration {
        self.out = None;
        self.consecutive = 0;
        self.window = Window::new(now);
        self.returned = Some(now);
        settings
            .ramp
            .checked_mul(self.times.max(1))
            .map_or(settings.max_ramp, |ramp| ramp.min(settings.max_ramp))
    }
}

/// The calls of the last seconds.
#[derive(Debug)]
struct Window {
    start: Instant,
    /// The second, from the start on, that the newest bucket stands for.
    second: u64,
    buckets: [Bucket; WINDOW],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    calls: u32,
    failures: u32,
    took: Duration,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self {
            start: now,
            second: 0,
            buckets: [Bucket::default(); WINDOW],
        }
    }

    /// Adds a call, and tells whether it is the first of its second.
    fn add(&mut self, now: Instant, failed: bool, took: Duration) -> bool {
        let is_first = self.advance(now);
        let bucket = &mut self.buckets[Self::index(self.second)];
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(failed));
        bucket.took = bucket.took.saturating_add(took);
        is_first
    }

    /// Forgets what is too old. `true` if a second begins.
    fn advance(&mut self, now: Instant) -> bool {
        // A call that ended a moment earlier on another core counts to the newest second.
        let second = now.saturating_duration_since(self.start).as_secs();
        let passed = second.saturating_sub(self.second);
        for skipped in 0..passed.min(WINDOW as u64) {
            self.buckets[Self::index(second - skipped)] = Bucket::default();
        }
        self.second += passed;
        passed > 0
    }

    fn index(second: u64) -> usize {
        (second % WINDOW as u64) as usize
    }

    fn sum(&self) -> Bucket {
        let mut sum = Bucket::default();
        for bucket in &self.buckets {
            sum.calls = sum.calls.saturating_add(bucket.calls);
            sum.failures = sum.failures.saturating_add(bucket.failures);
            sum.took = sum.took.saturating_add(bucket.took);
        }
        sum
    }
}
