//! Calls one address over as many connections as it takes.

mod backoff;
mod call;
mod config;
mod connector;
mod line;
mod pool;
mod watcher;

#[cfg(test)]
mod backoff_tests;
#[cfg(test)]
mod line_tests;

pub(crate) use backoff::Backoff;
pub use backoff::BackoffConfig;
pub(crate) use call::parse as parse_path;
pub use config::ClientBuilder;
pub use pool::{Client, CloseReport};
pub(crate) use watcher::Watcher;
