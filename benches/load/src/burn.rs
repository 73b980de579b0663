//! A handler that does real work.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CPU time that one burning call uses.
pub const BURN: Duration = Duration::from_millis(1);

/// Uses `time` of the calling thread's CPU. It is the thread's own clock that is watched, not the wall clock: a
/// handler that is kept off the CPU would otherwise count waiting as work, and two handlers on one core would
/// look like two cores.
pub fn burn(time: Duration) {
    let end = thread_cpu_time() + time;
    let mut state = 1_u64;
    while thread_cpu_time() < end {
        // A few microseconds of arithmetic between two looks at the clock, which is a system call.
        for step in 0..2_000_u64 {
            state = black_box(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(step),
            );
        }
    }
    black_box(state);
}

/// CPU time that the calling thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or(0))
}
