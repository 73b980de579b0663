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
mod overload;
mod reference;
mod refusal;
mod repository;
mod restarts;
mod streaming;
mod tidy;
mod unused;
mod well_known;

pub(crate) use iip_tests::elsewhere;
