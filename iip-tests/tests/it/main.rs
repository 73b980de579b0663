//! Calls from generated clients to generated servers.

#![deny(warnings, clippy::all)]

mod cancellation;
mod fleet;
mod in_process;
mod interop;
mod limits;
mod mocks;
mod names;
mod options;
mod reference;
mod repository;
mod streaming;
mod tidy;
mod unused;
mod well_known;

pub(crate) use iip_tests::elsewhere;
