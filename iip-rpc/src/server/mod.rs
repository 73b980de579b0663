//! The called side.

mod answers;
mod builder;
mod dispatch;
mod failure;
mod handle;
mod layered;
mod methods;
mod route;
mod serve;
mod stream_route;
mod task;
mod terms;

#[cfg(test)]
mod route_tests;

pub use async_trait::async_trait;
pub use builder::ServerBuilder;
pub use iip_core::server::{
    AdaptiveLimit, AdmissionStats, ChannelFigures, ConnectionFigures, ConnectionLimits, Figures,
    FrameReceiver, FrameSender, Handler, HandlerError, Incoming, Listener, Load, Overload,
    OverloadStats, Peer, Report, ServerHandle, Statistics, StatisticsAccess, StreamHandler,
    handler_fn,
};
pub use iip_core::session::{DurationRange, Durations, Traffic};
pub use iip_core::transport::PeerAddr;
pub use methods::{Methods, MethodsBuilder, NamedService};
pub use serve::Server;
