//! For tests of services and clients: connections that fail as real ones do, and the same way each time. Needs the
//! feature `testing`.
//!
//! A [`Relay`] stands between a client and a server and does to the bytes what [`Faults`] say, drawn from a seed: the
//! client connects to [`Relay::address`]. On a runtime with one thread and paused time a run with a seed is repeatable,
//! and waits cost no time.
//!
//! ```
//! # async fn demo() -> Result<(), iip_rpc::Status> {
//! use std::time::Duration;
//! use iip_rpc::Channel;
//! use iip_rpc::testing::Faults;
//!
//! # let server_address = "memory://server".parse().unwrap();
//! let relay = Faults::new(42)
//!     .split(1..=100)
//!     .delay(Duration::ZERO..=Duration::from_millis(5))
//!     .drop_after(0..=10_000)
//!     .relay(&server_address);
//! let channel = Channel::connect(relay.address().to_string()).await?;
//! # Ok(())
//! # }
//! ```

mod faults;
mod random;
mod relay;

#[cfg(test)]
mod relay_tests;

pub use faults::Faults;
pub use relay::Relay;
