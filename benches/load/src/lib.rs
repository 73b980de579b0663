//! The load generator that the benchmarks share: a closed loop of callers on one connection.
//!
//! It knows nothing of any framework. A framework implements [`Framework`] and calls [`run`] from its `main`;
//! it then has the three commands that the comparison starts:
//!
//! ```text
//! <program> server --listen 127.0.0.1:0
//! <program> client --addr HOST:PORT --workload echo|yield|burn --callers N --size BYTES --seconds S
//! <program> idle   --addr HOST:PORT --connections N
//! ```

mod burn;
mod closed_loop;
mod command_line;
mod framework;
mod histogram;
mod process;
mod report;
mod run;
mod workload;

pub use burn::{BURN, burn};
pub use closed_loop::{Failure, measure};
pub use command_line::{Arguments, UsageError};
pub use framework::{Caller, Framework};
pub use histogram::Histogram;
pub use process::{ProcessError, cpu_time, raise_open_files, resident_bytes};
pub use report::Measurement;
pub use run::run;
pub use workload::{Load, Operation, UnknownOperation, payload, verify};

#[cfg(test)]
mod burn_tests;
#[cfg(test)]
mod closed_loop_tests;
#[cfg(test)]
mod command_line_tests;
#[cfg(test)]
mod histogram_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod workload_tests;
