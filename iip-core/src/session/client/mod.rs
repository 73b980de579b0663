//! The client's side of a connection. One type, a file for each of its jobs.

mod calls;
mod flow;
mod lease;
mod receive;
mod state;
mod timeout;

pub use calls::{Cancelled, OpenError, OpenOptions};
pub use state::{ClientConfig, ClientSession};
