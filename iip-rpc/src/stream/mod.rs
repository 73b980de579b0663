//! The messages of streaming calls, as handlers and callers hold them.

#[cfg(feature = "futures")]
mod futures;
mod inbound;
mod queue;
mod reply;
mod sender;
mod streaming;

#[cfg(all(test, feature = "futures"))]
mod futures_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod sender_tests;
#[cfg(test)]
mod streaming_tests;

pub(crate) use inbound::{Frames, Inbound};
pub(crate) use queue::{Answered, Queue, QueueStream, cancelled};
pub use reply::Reply;
pub(crate) use reply::decode;
pub use sender::{Sender, TrySendError};
pub use streaming::Streaming;
pub(crate) use streaming::{Calling, Side};
