/// How much input a session takes before what it means is acted on and answered.
///
/// While this side works on the next batch, the peer works on the answers to this one. Taken whole, a burst of calls is
/// worked on by one side at a time, and the other's core falls asleep meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// A batch is not over before so many frames were taken …
    frames: usize,
    /// … and so many bytes.
    bytes: usize,
}

/// Fewer frames do not pay for a system call to write the answers.
const FRAMES: usize = 16;

/// Into how many batches a burst is cut at most.
const SHARES: usize = 4;

impl Batch {
    /// Everything there is.
    pub const ALL: Self = Self {
        frames: usize::MAX,
        bytes: usize::MAX,
    };

    /// A fair part of `buffered` bytes that have just arrived.
    pub fn of(buffered: usize) -> Self {
        Self {
            frames: FRAMES,
            bytes: buffered / SHARES,
        }
    }

    pub(super) fn start(self, buffered: usize) -> Taken {
        Taken {
            frames_left: self.frames,
            stop_at: buffered.saturating_sub(self.bytes),
        }
    }
}

/// What is left of a batch.
pub(super) struct Taken {
    frames_left: usize,
    /// How many bytes are left in the buffer once the batch has taken its own.
    stop_at: usize,
}

impl Taken {
    /// To be asked before each frame: whether it belongs to the next batch.
    pub(super) fn is_over(&mut self, buffered: usize) -> bool {
        if self.frames_left == 0 {
            return buffered > 0 && buffered <= self.stop_at;
        }
        self.frames_left -= 1;
        false
    }
}
