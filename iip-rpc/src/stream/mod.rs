//! The messages of streaming calls, as handlers and callers hold them.

mod queue;
mod reply;
mod sender;
mod streaming;

#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod streaming_tests;

pub(crate) use queue::{Queue, QueueStream, cancelled};
pub use reply::Reply;
pub use sender::{Sender, TrySendError};
pub(crate) use streaming::{Calling, Side};
pub use streaming::Streaming;
