//! What stands around calls: tower's layers, and a few of our own, on the client's side and on the server's.
//!
//! A layer is any [`tower_layer::Layer`] around a [`tower_service::Service`] that takes `Request<Body>` and returns
//! `Response<Body>`; its error may be anything that can be boxed. [`ChannelBuilder::layer`] puts one around the calls
//! of a channel, [`ServerBuilder::layer`] around those of a server, [`ServerBuilder::add_layered_service`] around those
//! of one service, and [`layered`] around anything else that makes calls. The layer added first is the outermost: it
//! sees a request first and its response last.
//!
//! An [`interceptor`] is the short way to a layer of one's own: an async function that sees the request and, after
//! [`Next::run`], the response.
//!
//! | layer | what it does |
//! | --- | --- |
//! | [`Timeout`] | bounds how long a call may take, its streams included |
//! | [`ConcurrencyLimit`] | lets calls wait while too many are in progress |
//! | [`LoadShed`] | refuses calls while too many are in progress |
//! | [`Trace`] | a `tracing` span for each call, and W3C trace context in metadata |
//! | [`CatchPanic`] | makes a panic a failed call |
//!
//! ```
//! use std::time::Duration;
//! use iip_rpc::layer::{LoadShed, Trace, interceptor};
//! use iip_rpc::{Server, Status};
//!
//! let server = Server::builder()
//!     .layer(Trace::server())
//!     .layer(LoadShed::new(1000))
//!     .layer(interceptor(|request, next| async move {
//!         if request.metadata().get("authorization").is_none() {
//!             return Err(Status::unauthenticated("who is it?"));
//!         }
//!         next.run(request).await
//!     }));
//! ```
//!
//! # Errors of layers
//!
//! A [`Status`](crate::Status) in an error or in the chain of its sources is what the caller gets. Of tower's own errors `Elapsed` is
//! `DEADLINE_EXCEEDED`, and `Overloaded` is `UNAVAILABLE` with the outcome *not processed*, like a call that the
//! server's own limit refuses. Any other error is `UNKNOWN` with its text. A server takes a layer's outcome
//! [`NotProcessed`](crate::Outcome::NotProcessed) at its word: such a status must come from a layer that did not call
//! the next one.
//!
//! # Costs
//!
//! Without a layer nothing of this module runs. Each layer costs a call a few small allocations.
//!
//! [`ChannelBuilder::layer`]: crate::client::ChannelBuilder::layer
//! [`ServerBuilder::layer`]: crate::server::ServerBuilder::layer
//! [`ServerBuilder::add_layered_service`]: crate::server::ServerBuilder::add_layered_service

mod failure;
mod guarded;
mod intercept;
mod limit;
mod panic;
mod service;
mod stack;
mod timeout;
mod trace;
mod trace_context;
mod within;

#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod guarded_tests;
#[cfg(test)]
mod intercept_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod panic_tests;
#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod timeout_tests;
#[cfg(test)]
mod trace_context_tests;
#[cfg(test)]
mod trace_tests;

pub use failure::BoxError;
pub(crate) use guarded::{Guard, guard};
pub use intercept::{Intercept, Intercepted, Interceptor, Next, interceptor};
pub use limit::{ConcurrencyLimit, LoadShed};
pub use panic::CatchPanic;
pub(crate) use service::Answer;
pub use service::{Layered, TowerService, layered};
pub use stack::BoxedService;
pub(crate) use stack::Layers;
pub use timeout::Timeout;
pub use tower_layer::Layer;
pub use tower_service::Service;
pub(crate) use trace::Endpoint;
pub use trace::Trace;
pub use trace_context::{TraceContext, TraceContextError};
