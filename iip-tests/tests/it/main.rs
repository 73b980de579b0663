//! Calls from generated clients to generated servers.

#![deny(warnings, clippy::all)]

mod in_process;
mod interop;
mod names;
mod repository;
mod tidy;
mod unused;
mod well_known;

pub(crate) use iip_tests::elsewhere;
