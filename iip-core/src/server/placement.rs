use std::sync::atomic::{AtomicU64, Ordering};

/// Mean poll time from which a handler is spawned, nanoseconds. Below about 2 us a task costs more than it brings;
/// from 3 to 5 us on, spreading over the cores pays clearly.
const SPAWN_FROM: u64 = 5_000;

/// Mean poll time below which a spawned handler is polled in place again, nanoseconds. Lower than `SPAWN_FROM`, so that
/// a method does not change sides with every call.
const BACK_BELOW: u64 = 2_000;

/// Calls the mean is taken over. A short window would forget a method that is slow once in a hundred calls.
const WINDOW: u64 = 256;

/// Longest poll that counts, nanoseconds. On a busy machine a thread is now and then suspended for milliseconds in the
/// middle of a cheap handler; that says nothing of the handler, and must not weigh like a hundred slow ones.
const MOST: u64 = 500_000;

/// Once a route is known, one poll in this many is timed: reading the clock costs a tenth of a small call.
const EVERY: u32 = 8;

/// Where the handlers of one route run: in place, polled by the connection that read the request, which costs nothing
/// but keeps that connection from everything else; or in a task, which any core can take.
///
/// Decided from the mean time of a handler's first poll, so that cheap methods and expensive ones each get what they
/// need without a setting.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Mean in 1/256 nanoseconds (bits 16 to 63), whether to spawn (bit 15), number of samples up to `WINDOW` (below).
    /// One word: a torn update could only mix two fresh values, but one is as easy.
    state: AtomicU64,
}

const SAMPLES: u64 = (1 << 15) - 1;
const SPAWN: u64 = 1 << 15;

impl Placement {
    /// In place always, however long that takes.
    pub(super) fn pinned() -> Self {
        Self {
            state: AtomicU64::new(SAMPLES),
        }
    }

    /// Whether the next call is polled in place first.
    pub(super) fn in_place(&self) -> bool {
        self.state.load(Ordering::Relaxed) & SPAWN == 0
    }

    /// Whether enough calls were seen to trust [`in_place`](Self::in_place) for a whole batch.
    pub(super) fn is_known(&self) -> bool {
        self.state.load(Ordering::Relaxed) & SAMPLES >= WINDOW
    }

    /// Whether the poll that is made as the `turn`th of its connection is to be timed.
    pub(super) fn is_timed(&self, turn: u32) -> bool {
        turn.is_multiple_of(EVERY) || !self.is_known()
    }

    /// A first poll took this long.
    pub(super) fn record(&self, nanos: u64) {
        let state = self.state.load(Ordering::Relaxed);
        if state & SAMPLES > WINDOW {
            // Pinned: nobody counts so far.
            return;
        }
        let samples = (state & SAMPLES).min(WINDOW - 1) + 1;
        let mean = state >> 16;
        let sample = nanos.min(MOST) << 8;
        let mean = if sample >= mean {
            mean + (sample - mean) / samples
        } else {
            mean - (mean - sample) / samples
        };
        let spawn = match state & SPAWN != 0 {
            true => mean >> 8 >= BACK_BELOW,
            false => mean >> 8 >= SPAWN_FROM,
        };
        let next = mean << 16 | if spawn { SPAWN } else { 0 } | samples;
        // A lost update of another core is one sample less.
        self.state.store(next, Ordering::Relaxed);
    }
}
