//! Compares this project with its peers: every framework runs the same load, each side in a process of its own.
//!
//! The load generator is the crate `iip-load`; the peers are in `peers/`, with a manifest of their own.
//! `README.md` says how to run the comparison and how to read it.

mod memory;
mod options;
mod programs;
mod rounds;
mod suite;
mod table;

pub use memory::{Footprint, idle_footprint};
pub use options::{CompareOptions, MemoryOptions};
pub use programs::{Name, Programs, Server, UnknownName};
pub use rounds::{Results, Row, run_rounds};
pub use suite::{Suite, Workload, WorkloadError};
pub use table::{footprints_markdown, markdown};

#[cfg(test)]
mod options_tests;
#[cfg(test)]
mod suite_tests;
#[cfg(test)]
mod table_tests;
