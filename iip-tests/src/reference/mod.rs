//! The reference implementation of IIP, emulated in both roles: what its unmodified Go programs do on the wire, quirks
//! and mistakes included (`docs/reference.md`).
//!
//! Nothing here comes from `iip-core`: frames are read and written by code of its own, so that a mistake there cannot
//! hide behind the same mistake here. `iip-tests/src/bin/reference.rs` makes a program of server and client.

mod channels;
mod client;
mod counters;
pub mod examples;
mod frame;
mod reader;
mod replies;
mod server;
mod socket;
mod system;
mod url;
mod writer;

pub use client::{Channel, Client};
pub use counters::Counters;
pub use frame::{Frame, MAX_DATA, MAX_PATH};
pub use reader::FrameReader;
pub use server::{Call, Observed, Server};
pub use url::{Url, parse};
