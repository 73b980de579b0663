//! Accepts connections and answers requests, by path.

mod acceptor;
mod adaptive;
mod admission;
mod books;
mod builder;
mod connections;
mod dispatch;
mod ending;
mod frames;
mod gate;
mod handler;
mod handler_error;
#[cfg(feature = "inherited")]
mod inherited;
mod listener;
mod meters;
mod overload;
mod placement;
mod route;
mod serve;
mod server_handle;
mod service_time;
mod shared;
mod statistics;
mod statistics_paths;
mod statistics_text;
mod task;
mod turn;
mod waiting;

#[cfg(test)]
mod acceptor_tests;
#[cfg(test)]
mod adaptive_tests;
#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod books_tests;
#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod dispatch_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod listener_tests;
#[cfg(all(test, feature = "metrics"))]
mod meters_tests;
#[cfg(test)]
mod placement_tests;
#[cfg(test)]
mod service_time_tests;
#[cfg(test)]
mod statistics_tests;
#[cfg(test)]
mod waiting_tests;

pub use crate::session::Criticality;
pub use acceptor::AcceptStats;
pub use admission::{AdmissionStats, ConnectionLimits};
pub use books::Figures;
pub use builder::ServerBuilder;
pub use frames::{FrameReceiver, FrameSender};
pub use handler::{FutureRunner, Handler, StreamHandler, handler_fn};
pub use handler_error::HandlerError;
pub use listener::Listener;
pub use overload::{AdaptiveLimit, Overload, OverloadStats, Terms};
pub use route::{Failure, Incoming, Peer, Reply, Route, Runner};
pub use serve::Server;
pub use server_handle::{Report, ServerHandle};
pub use statistics::{ChannelFigures, ConnectionFigures, Load, Statistics, StatisticsAccess};
