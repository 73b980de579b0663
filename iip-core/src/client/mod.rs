//! Calls one address over as many connections as it takes.

mod backoff;
mod call;
mod config;
mod connector;
mod line;
mod pool;

#[cfg(test)]
mod backoff_tests;
#[cfg(test)]
mod line_tests;

pub use backoff::BackoffConfig;
pub use config::ClientBuilder;
pub use pool::{Client, CloseReport};
