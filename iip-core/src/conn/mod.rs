//! A session with its socket: one task per connection reads and writes, everybody else goes through a lock.

mod call;
mod connection;
mod driver;
mod halves;
mod shared;
mod socket;

#[cfg(test)]
mod driver_tests;
#[cfg(test)]
mod socket_tests;

pub use call::{CallFailure, CallFuture};
pub use connection::{Connection, Usage};
pub(crate) use driver::{Alarm, Endpoint, Status, Transmit, drive, now};
pub use halves::{CallReceiver, CallSender};
pub(crate) use shared::{Observer, Wakeups};
