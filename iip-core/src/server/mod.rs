//! Accepts connections and answers requests, by path.

mod acceptor;
mod admission;
mod books;
mod builder;
mod connections;
mod dispatch;
mod ending;
mod frames;
mod handler;
mod handler_error;
#[cfg(feature = "inherited")]
mod inherited;
mod listener;
mod meters;
mod placement;
mod route;
mod serve;
mod server_handle;
mod shared;
mod statistics;
mod statistics_paths;
mod statistics_text;
mod task;

#[cfg(test)]
mod acceptor_tests;
#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod books_tests;
#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod dispatch_tests;
#[cfg(test)]
mod listener_tests;
#[cfg(all(test, feature = "metrics"))]
mod meters_tests;
#[cfg(test)]
mod placement_tests;
#[cfg(test)]
mod statistics_tests;

pub use acceptor::AcceptStats;
pub use admission::{AdmissionStats, ConnectionLimits};
pub use books::Figures;
pub use builder::ServerBuilder;
pub use frames::{FrameReceiver, FrameSender};
pub use handler::{FutureRunner, Handler, StreamHandler, handler_fn};
pub use handler_error::HandlerError;
pub use listener::Listener;
pub use route::{Failure, Incoming, Peer, Reply, Route, Runner};
pub use serve::Server;
pub use server_handle::{Report, ServerHandle};
pub use statistics::{ChannelFigures, ConnectionFigures, Load, Statistics, StatisticsAccess};
