use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Half of the calls of a route take longer than this, about. Each call moves it by a thirty-second, so that it follows in
/// a hundred calls, and one that is very slow weighs no more than another.
#[derive(Debug, Default)]
pub(super) struct ServiceTime {
    /// Nanoseconds; 0 before the first call.
    median: AtomicU64,
}

impl ServiceTime {
    pub(super) fn record(&self, took: Duration) {
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let median = self.median.load(Ordering::Relaxed);
        let step = median / 32 + 1;
        let next = match median {
            0 => sample,
            _ if sample > median => median.saturating_add(step).min(sample),
            _ => median.saturating_sub(step).max(sample),
        };
        // A lost update of another core is one sample less.
        self.median.store(next, Ordering::Relaxed);
    }

    pub(super) fn median(&self) -> Duration {
        Duration::from_nanos(self.median.load(Ordering::Relaxed))
    }
}
