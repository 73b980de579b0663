//! gRPC's interoperability cases in this project's own words: `docs/interop.md` lists them.
//!
//! The cases are generic over what they call ([`Target`]): a server behind an address, in this process or another one,
//! or a service value without any network. `iip-tests/src/bin/interop.rs` makes a program of server and client.

pub mod cases;
mod context;
mod ledger;
mod packing;
mod payload;
pub mod proto;
mod service;
mod soak_config;
mod suite;
mod target;
mod verdict;

pub use context::Context;
pub use service::{MAX_MESSAGE, TOKEN, TestService, USER, bind};
pub use soak_config::SoakConfig;
pub use suite::{NAMES, run, run_all};
pub use target::{ByAddress, InProcess, Target};
pub use verdict::{Failure, Note, Verdict};
