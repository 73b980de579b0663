//! The state of one connection, without IO (`docs/protocol.md`).
//!
//! What is here for users are its settings ([`Limits`], [`KeepAlive`]), what calls are made of ([`Payload`], [`Format`]) and
//! why a connection ended ([`Ended`]).
//!
//! The machines inside, `ClientSession` and `ServerSession`, are driven from outside: received bytes go into `handle`,
//! the time into `handle_timeout`; what is to be sent comes out of `poll_transmit`, what happened out of `poll_event`, and
//! when to call again out of `poll_timeout`. They hold no socket, clock, lock or task, so that two of them can be run
//! against each other in a test, byte by byte and in virtual time.

mod assembly;
mod batch;
mod channel;
mod client;
mod control;
mod cost;
mod credit;
mod encodings;
mod error;
mod event;
mod framing;
#[doc(hidden)]
pub mod json;
mod keep_alive;
mod lane;
mod limits;
mod output;
mod payload;
mod progress;
mod rate;
mod send_queue;
mod server;
mod table;
mod tally;

#[cfg(test)]
mod assembly_tests;
#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod calls_tests;
#[cfg(test)]
mod cancel_tests;
#[cfg(test)]
mod credit_model_tests;
#[cfg(test)]
mod credit_tests;
#[cfg(test)]
mod encodings_tests;
#[cfg(test)]
mod event_stream_tests;
#[cfg(test)]
mod hello_tests;
#[cfg(test)]
mod json_tests;
#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod output_tests;
#[cfg(test)]
mod oversize_tests;
#[cfg(test)]
mod requests_tests;
#[cfg(test)]
mod responses_tests;
#[cfg(test)]
mod rig_tests;
#[cfg(test)]
mod send_queue_tests;
#[cfg(test)]
mod stalls_tests;
#[cfg(test)]
mod tally_tests;
#[cfg(test)]
mod timers_tests;

pub use channel::{Delivery, Format, Profile};
pub use control::{ENVELOPE_LENGTH, ErrorReply};
pub use cost::{MESSAGE_COST, PIECE};
pub use credit::MIN_WINDOW;
pub use encodings::Encodings;
pub use error::{Ended, Violation};
pub use keep_alive::KeepAlive;
pub(crate) use limits::LONGEST;
pub use limits::Limits;
pub(crate) use output::Output;
pub use payload::{Chunk, MAX_CHUNK, Payload};
pub(crate) use table::ChannelTable;
pub use tally::{DurationRange, Durations, Traffic};
pub(crate) use tally::{NO_ROUTE, RouteTally, Tally};

// Not API, and free to change with any version: the machines themselves. They are public for the tests and fuzz targets
// of this repository, which drive them without a socket.
#[doc(hidden)]
pub use batch::Batch;
#[doc(hidden)]
pub use channel::{CallId, MessageState};
#[doc(hidden)]
pub use client::{Cancelled, ClientConfig, ClientSession, OpenError, OpenOptions};
#[doc(hidden)]
pub use event::{ClientEvent, Lookup, RouteInfo, ServerEvent};
#[doc(hidden)]
pub use output::Sink;
#[doc(hidden)]
pub use server::ServerSession;
