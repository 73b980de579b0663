//! IIP, the Internal Interaction Protocol: many calls on one connection, bytes by path.

pub mod balance;
pub mod client;
pub mod conn;
mod error;
pub mod memory;
#[cfg(test)]
mod memory_tests;
pub mod server;
pub mod session;
pub mod transport;
pub mod wire;

pub use error::{Error, ErrorKind, Outcome};
