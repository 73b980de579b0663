use super::message::{CHECK, HealthCheckRequest, HealthCheckResponse, WATCH};
use crate::client::{server_streaming, unary};
use crate::{Channel, IntoRequest, Response, RpcService, Status, Streaming};

/// Asks a server for its health, as a generated client would.
#[derive(Clone, Debug)]
pub struct HealthClient<S = Channel> {
    service: S,
}

impl<S: RpcService> HealthClient<S> {
    /// Asks over a channel, or a server in the same process.
    pub fn new(service: S) -> Self {
        Self { service }
    }

    /// What the server says of one service now, or with an empty name of itself.
    ///
    /// # Errors
    ///
    /// `NOT_FOUND` when the server knows no service of this name, `UNIMPLEMENTED` when it has no health service; else as
    /// for any call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up.
    pub async fn check(
        &self,
        request: impl IntoRequest<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        unary(&self.service, &CHECK, request.into_request()).await
    }

    /// What the server says of one service, at once and whenever it changes. The stream ends with `UNAVAILABLE` when the
    /// server stops.
    ///
    /// # Errors
    ///
    /// `UNIMPLEMENTED` when the server has no health service; else as for any call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the stream, gives the call up.
    pub async fn watch(
        &self,
        request: impl IntoRequest<HealthCheckRequest>,
    ) -> Result<Response<Streaming<HealthCheckResponse>>, Status> {
        server_streaming(&self.service, &WATCH, request.into_request()).await
    }
}
