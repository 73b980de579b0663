//! What generated code uses, and nothing else of this crate. Not API: it may change with any version, together with
//! the code generator.

pub use crate::client::{
    Channel, ChannelBuilder, bidi_streaming, client_streaming, server_streaming, unary,
};
pub use crate::server::{Methods, NamedService};
pub use crate::{
    Body, Idempotency, IntoRequest, MethodDescriptor, MethodKind, Reply, Request, Response,
    RpcService, Sender, Status, Streaming,
};
pub use prost;
pub use prost_types;

/// Named by every generated file: a file of a generator that needs another shape of this module does not compile,
/// and the error names the version.
#[derive(Clone, Copy, Debug)]
pub struct V1;
