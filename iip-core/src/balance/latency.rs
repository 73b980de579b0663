use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds of a tick, 2^16: 66 us, which makes the 32 bits of a stamp last for three days. A stamp that has gone round
/// makes an old measurement count as a new one, until the next.
const TICK_BITS: u32 = 16;

/// After how long an old measurement counts 1/e of what it did.
pub(crate) const DECAY: Duration = Duration::from_secs(10);

/// How long calls take: the peak-sensitive, exponentially weighted moving average. A longer latency than it counts at once
/// and in full; a shorter one by the time that has passed since the last.
///
/// One word holds it all, so that it can change without a lock: the average in nanoseconds as `f32`, which is 0 before the
/// first measurement, above the tick of the last measurement.
#[derive(Debug, Default)]
pub(super) struct Latency {
    word: AtomicU64,
    /// When ticks began.
    origin: OnceLock<Instant>,
}

impl Latency {
    /// A call took this long and ended now.
    pub(super) fn record(&self, latency: Duration, now: Instant) {
        // 0 stands for no measurement.
        let sample = latency.as_nanos().max(1) as f32;
        let tick = self.tick(now);
        let next = |word| {
            let (average, stamp) = unpacked(word);
            if average == 0.0 || sample >= average {
                return Some(packed(sample, tick));
            }
            let kept = trust(tick, stamp);
            // Within a tick of the last one nothing changes.
            (kept < 1.0).then(|| packed(sample + (average - sample) * kept, tick))
        };
        let relaxed = Ordering::Relaxed;
        // It fails where nothing is to change.
        let _ = self.word.fetch_update(relaxed, relaxed, next);
    }

    /// The average of what was measured, whenever that was.
    pub(super) fn average(&self) -> Option<Duration> {
        self.nanos().map(|nanos| Duration::from_nanos(nanos as u64))
    }

    /// The same in nanoseconds; more than 0.
    pub(super) fn nanos(&self) -> Option<f32> {
        let (average, _) = unpacked(self.word.load(Ordering::Relaxed));
        (average > 0.0).then_some(average)
    }

    /// How much the average is to be trusted: 1 when the last measurement is new, towards 0 as it gets old.
    pub(super) fn trust(&self, now: Instant) -> f32 {
        let (_, stamp) = unpacked(self.word.load(Ordering::Relaxed));
        trust(self.tick(now), stamp)
    }

    fn tick(&self, now: Instant) -> u32 {
        let origin = *self.origin.get_or_init(|| now);
        let nanos = now.saturating_duration_since(origin).as_nanos();
        (nanos >> TICK_BITS) as u32
    }
}

/// What is left of a measurement at `stamp`.
fn trust(tick: u32, stamp: u32) -> f32 {
    let ticks = tick.wrapping_sub(stamp) as i32;
    // Threads that read the clock one after the other may come here in the other order.
    let age = ticks.max(0) as f32 * (1u32 << TICK_BITS) as f32;
    (-age / DECAY.as_nanos() as f32).exp()
}

fn packed(average: f32, tick: u32) -> u64 {
    (u64::from(average.to_bits()) << 32) | u64::from(tick)
}

fn unpacked(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}
