//! Restarts under load: a server is replaced again and again on one port while callers go on, who call again only what
//! did not run for sure. No call may fail, and none may run twice.
//!
//! `iip-tests/src/bin/restarts.rs` makes a program of it.

mod ledger;
mod load;
mod processes;
mod within;

pub use ledger::{Ledger, Tally};
pub use processes::{Listening, across_processes, serve};
pub use within::within_one_process;
