//! A log-linear histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets to each power of two: a value is known to within 1/128, less than one percent.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Longer values (2^40 ns, 18 minutes) count as this long.
const LONGEST: u64 = (1 << 40) - 1;
const BUCKETS: usize = ((40 - STEP_BITS + 1) as usize) * STEPS as usize;

/// Counts durations in nanoseconds. Any number of threads may record; it is quickest when each has its own and
/// they are [added up](Histogram::add) at the end.
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
}

impl Histogram {
    /// An empty histogram of about 35 KiB.
    pub fn new() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Counts one value.
    pub fn record(&self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds everything that `other` has counted.
    pub fn add(&self, other: &Self) {
        for (mine, theirs) in self.buckets.iter().zip(&other.buckets) {
            mine.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    /// The value that `fraction` (0 to 1) of the counted ones do not exceed; zero when nothing was counted.
    pub fn quantile(&self, fraction: f64) -> Duration {
        let count = self.count();
        if count == 0 {
            return Duration::ZERO;
        }
        let rank = ((count as f64 * fraction).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        for (index, n) in self.buckets.iter().enumerate() {
            seen += n.load(Ordering::Relaxed);
            if seen >= rank {
                return Duration::from_nanos(middle(index as u64));
            }
        }
        Duration::from_nanos(LONGEST)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min(LONGEST);
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEP_BITS;
    let step = (nanos >> shift) - STEPS;
    (u64::from(shift + 1) * STEPS + step) as usize
}

/// The middle of a bucket's values.
fn middle(index: u64) -> u64 {
    if index < STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    let lowest = (STEPS + index % STEPS) << shift;
    lowest + (1 << shift) / 2
}
