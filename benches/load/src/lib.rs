//! The load generator that the benchmarks share: callers in a closed loop, or messages of a stream.
//!
//! It knows nothing of any framework. A framework implements [`Framework`] and calls [`run`] from its `main`;
//! it then has the commands that the comparison starts:
//!
//! ```text
//! <program> server --listen 127.0.0.1:0 [--max-message BYTES]
//! <program> client --addr HOST:PORT --workload echo|yield|burn --callers N --size BYTES --seconds S [--stalled N]
//!                  [--connections N]
//! <program> stream --addr HOST:PORT --size BYTES --messages N --seconds S
//! <program> beside --addr HOST:PORT --small N:BYTES:PAUSE_MS --bulk N:BYTES:PAUSE_MS --seconds S
//! <program> idle   --addr HOST:PORT --connections N
//! ```
//!
//! `server` and `client` take `--cores N` too: they run N threads on the first N cores that they may use.

mod burn;
mod closed_loop;
mod command_line;
mod cores;
mod framework;
mod histogram;
mod process;
mod report;
mod run;
mod streaming;
mod workload;

pub use burn::{BURN, burn};
pub use closed_loop::{Failure, measure};
pub use command_line::{Arguments, UsageError};
pub use framework::{Caller, Framework, NoStream, Stream, Target};
pub use histogram::Histogram;
pub use process::{ProcessError, cpu_time, raise_open_files, resident_bytes};
pub use report::{BesideMeasurement, CrowdMeasurement, Measurement, StreamMeasurement};
pub use run::run;
pub use streaming::{Stalled, measure_stream};
pub use workload::{
    Crowd, Load, Operation, Times, UnknownOperation, UnreadableCrowd, payload, verify,
};

#[cfg(test)]
mod burn_tests;
#[cfg(test)]
mod closed_loop_tests;
#[cfg(test)]
mod command_line_tests;
#[cfg(all(test, target_os = "linux"))]
mod cores_tests;
#[cfg(test)]
mod histogram_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod streaming_tests;
#[cfg(test)]
mod workload_tests;
