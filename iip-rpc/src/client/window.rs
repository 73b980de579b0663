use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many events there were in the last `SLOTS` steps of time, counted without a lock.
///
/// A slot counts one step: its upper half says which, its lower half how many. Two threads that begin a step at the same
/// moment may lose an event, which is no matter where what is counted is a rate.
#[derive(Debug)]
pub(super) struct Window<const SLOTS: usize> {
    start: Instant,
    step: Duration,
    slots: [AtomicU64; SLOTS],
}

impl<const SLOTS: usize> Window<SLOTS> {
    pub(super) fn new(start: Instant, step: Duration) -> Self {
        Self {
            start,
            step,
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts one event.
    #[inline]
    pub(super) fn add(&self, now: Instant) {
        let step = self.step_at(now);
        let Some(slot) = self.slots.get(step as usize % SLOTS) else {
            return;
        };
        let before = slot.load(Ordering::Relaxed);
        if before >> 32 == u64::from(step) {
            slot.fetch_add(1, Ordering::Relaxed);
        } else {
            let first = u64::from(step) << 32 | 1;
            let begun = slot.compare_exchange(before, first, Ordering::Relaxed, Ordering::Relaxed);
            if begun.is_err() {
                // Another thread has begun this step.
                slot.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The events of the present step and of those before it, as far back as there are slots.
    pub(super) fn sum(&self, now: Instant) -> u64 {
        let step = u64::from(self.step_at(now));
        let slots = self
            .slots
            .iter()
            .map(|slot| slot.load(Ordering::Relaxed))
            .filter(|slot| step.saturating_sub(slot >> 32) < SLOTS as u64);
        slots.map(|slot| slot & u64::from(u32::MAX)).sum()
    }

    fn step_at(&self, now: Instant) -> u32 {
        let passed =
            now.saturating_duration_since(self.start).as_secs() / self.step.as_secs().max(1);
        u32::try_from(passed).unwrap_or(u32::MAX)
    }
}
