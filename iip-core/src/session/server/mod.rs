//! The server's side of a connection. One type, a file for each of its jobs.

mod control;
mod drain;
mod flow;
mod receive;
mod reply;
mod state;
mod timeout;

pub use state::ServerSession;
