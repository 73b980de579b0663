//! Remote procedure calls over IIP: messages by method.
//!
//! A `.proto` file describes a service; `iip-codegen` makes of it, in `build.rs`, a trait to implement, a server
//! struct and a client struct. This crate is what they stand on: [`Request`], [`Response`] and [`Status`] for
//! handlers and callers, [`Server`] and [`Channel`] for programs.

mod body;
mod cancellation;
pub mod client;
mod code;
mod codec;
#[doc(hidden)]
pub mod codegen;
mod compression;
mod deadline;
pub mod details;
mod envelope;
mod extensions;
pub mod health;
pub mod layer;
pub mod metadata;
mod method;
mod plain;
mod request;
mod response;
mod run;
pub mod server;
mod service;
mod status;
mod stream;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(test)]
mod cancellation_tests;
#[cfg(test)]
mod code_tests;
#[cfg(test)]
mod deadline_tests;
#[cfg(test)]
mod extensions_tests;
#[cfg(test)]
mod method_tests;
#[cfg(test)]
mod plain_tests;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod status_tests;

pub use body::Body;
pub use bytes;
pub use cancellation::Cancellation;
pub use client::Channel;
pub use code::Code;
pub use compression::{Compression, Encoding};
pub use extensions::Extensions;
pub use iip_core;
pub use iip_core::Outcome;
pub use metadata::{Metadata, MetadataError, MetadataKey, MetadataValue};
pub use method::{Idempotency, MethodDescriptor, MethodKind};
pub use prost;
pub use prost_types;
pub use request::{IntoRequest, Request};
pub use response::Response;
pub use run::{run, shutdown_signal};
pub use server::Server;
pub use service::RpcService;
pub use status::{Result, Status};
pub use stream::{Reply, Sender, Streaming, TrySendError};
pub use tokio;
