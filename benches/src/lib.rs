//! Compares this project with its peers: every framework runs the same load, each side in a process of its own.
//!
//! The load generator is the crate `iip-load`; the peers are in `peers/`, with a manifest of their own.
//! `README.md` says how to run the comparison and how to read it.

mod balancing;
mod chart;
// The tests of iip-core assert what it shows.
#[path = "../../iip-core/tests/it/balance/fleet.rs"]
mod fleet;
mod memory;
mod model_tables;
mod options;
mod picking;
mod programs;
mod reference;
mod rounds;
mod suite;
mod table;
mod workload;

pub use balancing::{Results as BalancingResults, run as run_balancing};
pub use memory::{Footprint, idle_footprint};
pub use options::{BalancingOptions, CompareOptions, MemoryOptions};
pub use picking::picking_markdown;
pub use programs::{Client, Name, Programs, Server, UnknownName};
pub use reference::{
    Contender, Cores, PUBLISHED, Published, ReferenceOptions, ReferenceResults, ReferenceRow,
    UnknownContender, UnreadableCores, reference_chart, reference_markdown, run_reference_rounds,
};
pub use rounds::{Results, Row, run_rounds};
pub use suite::Suite;
pub use table::{footprints_markdown, markdown};
pub use workload::{Beside, Calls, Stalled, StalledMeasurement, Stream, Workload, WorkloadError};

#[cfg(test)]
mod balancing_tests;
#[cfg(test)]
mod chart_tests;
#[cfg(test)]
mod options_tests;
#[cfg(test)]
mod suite_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod workload_tests;
