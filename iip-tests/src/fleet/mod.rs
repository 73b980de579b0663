//! Three servers, each a process of its own, under load, while one after the other is killed, cut off or stopped: what
//! their callers notice of it.
//!
//! `iip-tests/src/bin/fleet.rs` makes a program of it.

mod cuts;
mod down;
mod judge;
mod kill;
mod ledger;
mod load;
mod outage;
mod plan;
mod process;
pub mod proto;
mod proxy;
mod report;
mod servers;
mod service;
mod watch;

pub use cuts::cuts;
pub use down::down;
pub use kill::kill;
pub use outage::{black_hole, stop};
pub use plan::Plan;
pub use report::{Report, Row};
pub use service::serve;
