//! A session with its socket: one task per connection reads and writes, everybody else goes through a lock.

mod call;
mod connection;
mod driver;
mod shared;
mod socket;

#[cfg(test)]
mod driver_tests;
#[cfg(test)]
mod socket_tests;

pub use call::{CallFailure, CallFuture, CallReceiver, CallSender};
pub use connection::Connection;
pub(crate) use driver::{Alarm, Endpoint, Status, Transmit, drive, now};
pub(crate) use shared::{Observer, Wakeups};
