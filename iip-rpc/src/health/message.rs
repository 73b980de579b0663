//! The messages and methods of `grpc.health.v1.Health`, as its `.proto` file numbers them.

use crate::{Idempotency, MethodDescriptor, MethodKind};

pub(super) const SERVICE: &str = "grpc.health.v1.Health";

pub(super) static CHECK: MethodDescriptor = MethodDescriptor::new(
    "/grpc.health.v1.Health/Check",
    MethodKind::Unary,
    Idempotency::NoSideEffects,
);

pub(super) static WATCH: MethodDescriptor = MethodDescriptor::new(
    "/grpc.health.v1.Health/Watch",
    MethodKind::ServerStreaming,
    Idempotency::NoSideEffects,
);

/// Whose health is asked for.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HealthCheckRequest {
    /// The full name of a service, `package.Service`; empty for the server as a whole.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// What a server says of a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct HealthCheckResponse {
    /// A [`ServingStatus`]; [`status`](Self::status) reads it.
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub status: i32,
}

/// Whether calls are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ServingStatus {
    /// Nothing is known.
    Unknown = 0,
    /// They are.
    Serving = 1,
    /// They are not: the service starts, stops, or lacks what it needs.
    NotServing = 2,
    /// There is no such service. Only `Watch` says this; `Check` fails with `NOT_FOUND`.
    ServiceUnknown = 3,
}

impl From<ServingStatus> for HealthCheckResponse {
    fn from(status: ServingStatus) -> Self {
        Self {
            status: status.into(),
        }
    }
}
