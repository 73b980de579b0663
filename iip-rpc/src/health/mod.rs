//! Health: a server says whether it wants calls, by the standard service `grpc.health.v1.Health`, whose description is
//! `proto/grpc/health/v1/health.proto`.
//!
//! A [`HealthReporter`] holds what is said, and [`service`](HealthReporter::service) says it:
//!
//! ```no_run
//! use std::time::Duration;
//! use iip_rpc::{Server, health::HealthReporter};
//!
//! # async fn serve() -> std::io::Result<()> {
//! let reporter = HealthReporter::new();
//! reporter.set_not_serving("shop.Orders");
//! let server = Server::builder()
//!     .add_service(reporter.service())
//!     .bind("iip://127.0.0.1:9090")
//!     .await?;
//! // From the moment the server is told to stop, nothing is SERVING.
//! reporter.follow(server.handle());
//! // The database is there now.
//! reporter.set_serving("shop.Orders");
//! server.serve_with_shutdown(iip_rpc::shutdown_signal(), Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Other programs ask with a [`HealthClient`].

mod client;
mod message;
mod reporter;
mod service;

pub use client::HealthClient;
pub use message::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
pub use reporter::HealthReporter;
pub use service::HealthServer;
