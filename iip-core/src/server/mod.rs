//! Accepts connections and answers requests, by path.

mod acceptor;
mod admission;
mod builder;
mod connections;
mod dispatch;
mod frames;
mod handler;
mod handler_error;
mod listener;
mod placement;
mod route;
mod serve;
mod shared;
mod task;

#[cfg(test)]
mod acceptor_tests;
#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod dispatch_tests;
#[cfg(test)]
mod listener_tests;
#[cfg(test)]
mod placement_tests;

pub use acceptor::AcceptStats;
pub use admission::{AdmissionStats, ConnectionLimits};
pub use builder::ServerBuilder;
pub use frames::{FrameReceiver, FrameSender};
pub use handler::{FutureRunner, Handler, StreamHandler, handler_fn};
pub use handler_error::HandlerError;
pub use listener::Listener;
pub use route::{Failure, Incoming, Peer, Reply, Route, Runner};
pub use serve::{Load, Report, Server};
