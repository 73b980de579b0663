use std::time::{Duration, Instant};

/// How long calls are watched before the limit is set anew, at least.
const WINDOW: Duration = Duration::from_millis(100);

/// A window goes on until so many calls have ended in it, or for [`LONGEST_WINDOW`]: a mean of few says little.
const ENOUGH: u32 = 16;
const LONGEST_WINDOW: Duration = Duration::from_secs(1);

/// How long a shortest mean is believed at least; at most twice as long.
const GENERATION: Duration = Duration::from_secs(10);

/// Calls may take so many times as long as without a queue before the limit shrinks. It is what ordinary variation needs.
const TOLERANCE: f64 = 1.5;

/// Most that one window takes away.
const SHRINK: f64 = 0.5;

/// From here on there is no queue, and the limit may grow faster than by its square root.
const NO_QUEUE: f64 = 0.9;

/// A server that is busy all the time never sees a call without a queue. So the limit falls to this share of it once in
/// a generation, until calls that began under it have ended.
const PROBE_SHARE: f64 = 0.25;
const PROBE_WINDOWS: u8 = 2;

/// Finds how many calls a server works on best at a time, from how long they take.
///
/// Calls that take longer than they would with nobody else there wait for something: then fewer of them at a time lose
/// nothing. Calls that take no longer could be more. What a call takes without a queue is the shortest mean of a
/// window of the last 10 to 20 s, of each route by itself, so that another mixture of calls is not taken for a queue.
///
/// Nothing changes while less than half of the limit is in use: then it is not load that makes calls slow.
#[derive(Debug)]
pub(super) struct Adaptive {
    min: f64,
    max: f64,
    limit: f64,
    routes: Vec<RouteTimes>,
    /// Of the present window: when it began, the calls that have ended in it, and the most that were in progress.
    since: Instant,
    ended: u32,
    peak: usize,
    generation_ends: Instant,
    probe: Option<Probe>,
}

#[derive(Debug)]
struct Probe {
    /// The limit that holds again afterwards.
    limit: f64,
    windows: u8,
}

/// Times of one route, in seconds.
#[derive(Clone, Debug, Default)]
struct RouteTimes {
    calls: u32,
    sum: f64,
    shortest: Option<f64>,
    /// Of the generation before.
    before: Option<f64>,
}

impl RouteTimes {
    /// What a call takes without a queue, as far as is known.
    fn base(&self) -> Option<f64> {
        match (self.shortest, self.before) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Adaptive {
    /// Begins with eight times the least limit.
    pub(super) fn new(min: usize, max: usize, now: Instant) -> Self {
        let min = min.max(1) as f64;
        let max = (max as f64).max(min);
        Self {
            min,
            max,
            limit: (8.0 * min).min(max),
            routes: Vec::new(),
            since: now,
            ended: 0,
            peak: 0,
            generation_ends: now + GENERATION,
            probe: None,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// A call of `route` has ended, which took so long; `in_progress` were, with this one. True: the limit is another now.
    pub(super) fn ended(
        &mut self,
        route: usize,
        took: Duration,
        in_progress: usize,
        now: Instant,
    ) -> bool {
        if self.routes.len() <= route {
            self.routes.resize(route + 1, RouteTimes::default());
        }
        if let Some(times) = self.routes.get_mut(route) {
            times.calls += 1;
            times.sum += took.as_secs_f64();
        }
        self.ended += 1;
        self.peak = self.peak.max(in_progress);
        let lasted = now.saturating_duration_since(self.since);
        if lasted < WINDOW || self.ended < ENOUGH && lasted < LONGEST_WINDOW {
            return false;
        }
        let before = self.limit();
        self.close(now);
        self.since = now;
        self.ended = 0;
        self.peak = 0;
        self.limit() != before
    }

    fn close(&mut self, now: Instant) {
        let (mut expected, mut measured) = (0.0, 0.0);
        for times in self.routes.iter_mut().filter(|times| times.calls > 0) {
            let mean = times.sum / f64::from(times.calls);
            times.shortest = Some(times.shortest.map_or(mean, |shortest| shortest.min(mean)));
            expected += times.base().unwrap_or(mean) * f64::from(times.calls);
            measured += times.sum;
            (times.calls, times.sum) = (0, 0.0);
        }
        if let Some(probe) = &mut self.probe {
            probe.windows -= 1;
            if probe.windows == 0 {
                self.limit = probe.limit;
                self.probe = None;
            }
            return;
        }
        let used = self.peak as f64 * 2.0 >= self.limit;
        if used && measured > 0.0 {
            let gradient = expected / measured;
            let root = self.limit.sqrt();
            let growth = match gradient >= NO_QUEUE {
                true => root.max(self.limit / 4.0),
                false => root,
            };
            let share = (TOLERANCE * gradient).clamp(SHRINK, 1.0);
            self.limit = (self.limit * share + growth).clamp(self.min, self.max);
        }
        if now >= self.generation_ends {
            self.generation_ends = now + GENERATION;
            for times in &mut self.routes {
                times.before = times.shortest.take();
            }
            if used {
                let limit = self.limit;
                self.limit = (limit * PROBE_SHARE).max(self.min);
                let windows = PROBE_WINDOWS;
                self.probe = Some(Probe { limit, windows });
            }
        }
    }
}
