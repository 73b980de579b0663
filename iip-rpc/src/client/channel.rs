use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::conn::{CallFailure, Connection, Usage};
use iip_core::session::{Format, Payload};
use iip_core::{Error, Outcome};

use super::stream::{Pump, Responses};
use crate::body::{Callee, Kind};
use crate::compression::Packing;
use crate::deadline::{NO_DEADLINE, after, now, whole_microseconds};
use crate::envelope::{self, Direction, Head, MessageBytes, Trailer};
use crate::layer::{BoxedService, Endpoint, Layered, Layers};
use crate::stream::Inbound;
use crate::{
    Body, Code, Metadata, MethodDescriptor, MethodKind, Request, Response, RpcService, Status,
    plain,
};

/// Connections to a server, shared by any number of clients and calls. Cheap to clone; the connections close when
/// the last clone is dropped.
#[derive(Clone)]
pub struct Channel {
    client: Client,
    endpoint: Arc<str>,
    timeout: Option<Duration>,
    max_message: usize,
    compress: Option<Packing>,
    /// This channel without layers, inside its layers.
    layers: Option<Arc<Layered<BoxedService>>>,
}

impl Channel {
    /// Where the channel leads, in canonical form.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What calls hold now of the connections on which calls may begin.
    pub fn usage(&self) -> Usage {
        self.client.usage()
    }

    pub(super) fn new(
        client: Client,
        endpoint: Arc<str>,
        timeout: Option<Duration>,
        max_message: usize,
    ) -> Self {
        Self {
            client,
            endpoint,
            timeout,
            max_message,
            compress: None,
            layers: None,
        }
    }

    pub(super) fn compressing(self, compress: Option<Packing>) -> Self {
        Self { compress, ..self }
    }

    /// How requests over `connection` are compressed.
    fn packing(&self, connection: &Connection) -> Option<Packing> {
        self.compress
            .filter(|packing| packing.is_among(connection.encodings()))
    }

    pub(super) fn layered(self, layers: Layers) -> Self {
        if layers.is_empty() {
            return self;
        }
        let stack = layers.around(self.clone());
        Self {
            layers: Some(Arc::new(stack)),
            ..self
        }
    }

    /// Makes a call through the layers. Its deadline begins before them: what they wait counts.
    async fn call_layered(
        &self,
        layers: &Layered<BoxedService>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let unary = |method: &MethodDescriptor| method.kind() == MethodKind::Unary;
        if request.deadline().is_none() && request.method().is_some_and(unary) {
            request.set_deadline(self.timeout.and_then(after));
        }
        request
            .extensions_mut()
            .insert(Endpoint(Arc::clone(&self.endpoint)));
        let result = layers.start(request).await;
        result.map_err(|status| match status.endpoint() {
            Some(_) => status,
            None => self.here(status),
        })
    }

    fn failed(&self, error: Error) -> Status {
        self.here(Status::from(error))
    }

    /// Adds where the call went.
    fn here(&self, status: Status) -> Status {
        status.with_endpoint(Arc::clone(&self.endpoint))
    }

    fn not_sent(&self, status: Status) -> Status {
        self.here(status)
            .with_phase("send")
            .with_outcome(Outcome::NotSent)
    }

    /// The request in the form that the server at the other end of `connection` understands.
    fn encode(
        &self,
        connection: &Connection,
        message: MessageBytes,
        request: &Request<()>,
        timeout: Timeout,
    ) -> Result<Payload, Status> {
        let metadata = request.metadata();
        self.check(&message, connection.max_message())?;
        if !connection.is_native() {
            if !metadata.is_empty() {
                tracing::debug!(
                    endpoint = &*self.endpoint,
                    "metadata cannot be sent to a plain server"
                );
            }
            return Ok(Payload::from(plain::outgoing(message)));
        }
        let timeout_us = match timeout {
            // What the wait for the connection took is gone.
            Timeout::Own(deadline) => Some(whole_microseconds(
                deadline.saturating_duration_since(now()),
            )),
            // The server knows its own default: only another one has to travel.
            Timeout::Default if self.timeout == connection.default_timeout() => None,
            Timeout::Default => Some(self.timeout.map_or(NO_DEADLINE, whole_microseconds)),
        };
        let packing = self.packing(connection);
        let (message, encoding) = envelope::pack(message, packing, request.compression());
        Ok(envelope::write(
            Head::to_record(timeout_us, metadata, encoding),
            message,
            Bytes::new(),
        ))
    }

    /// The response in `data`.
    fn decode(&self, native: bool, data: Bytes) -> Result<Response<Body>, Status> {
        if !native {
            let message = plain::response(data).map_err(|status| self.here(status))?;
            return Ok(Response::new(Body::from_message(message)));
        }
        let inbound = envelope::read(Direction::Response, data, self.max_message)
            .map_err(|error| self.here(error.in_response()))?;
        let trailers = match inbound.trailer {
            None => Metadata::new(),
            Some(Trailer::Ok(trailers)) => trailers,
            Some(Trailer::Failed(status)) => return Err(self.here(status)),
        };
        // The reader lets a response without a message pass only where it failed.
        let message = inbound
            .message
            .ok_or_else(|| self.here(Status::new(Code::Internal, "the response has no message")))?;
        let was_compressed = message.was_compressed();
        let mut response = Response::new(Body::from_message(message));
        response.set_was_compressed(was_compressed);
        response.set_metadata(inbound.head.metadata, trailers);
        Ok(response)
    }
}

/// How long a call may take.
#[derive(Clone, Copy)]
enum Timeout {
    /// As long as the channel's calls may by default.
    Default,
    /// Until its own deadline.
    Own(Instant),
}

impl RpcService for Channel {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        if let Some(layers) = &self.layers {
            return self.call_layered(layers, request).await;
        }
        let Some(method) = request.method() else {
            return Err(self.not_sent(Status::internal("the request names no method")));
        };
        let now = now();
        if request.deadline().is_some_and(|deadline| deadline <= now) {
            let text = "the deadline passed before the call was sent (setting: timeout)";
            return Err(self.not_sent(Status::deadline_exceeded(text)));
        }
        if method.kind() != MethodKind::Unary {
            return Box::pin(self.stream(method, request)).await;
        }
        let (timeout, deadline) = match request.deadline() {
            None => (
                Timeout::Default,
                self.timeout.and_then(|timeout| now.checked_add(timeout)),
            ),
            Some(deadline) => (Timeout::Own(deadline), Some(deadline)),
        };
        let (body, request) = request.take();
        let message = body
            .into_message()
            .map_err(|status| self.not_sent(status))?;
        let connection = self.ready(deadline).await?;
        let native = connection.is_native();
        let payload = self.encode(&connection, message, &request, timeout)?;
        let data = self.send(connection, method, payload, deadline).await?;
        self.decode(native, data)
    }
}

impl Channel {
    /// Makes a call of a method that streams. It has no deadline unless the request has one.
    async fn stream(
        &self,
        method: &MethodDescriptor,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let deadline = request.deadline();
        let (body, request) = request.take();
        let requests = matches!(
            method.kind(),
            MethodKind::ClientStreaming | MethodKind::Bidirectional
        );
        let (mut message, mut requests) = match (body.into_kind(), requests) {
            (Kind::Message(message), false) => (Some(message), None),
            (Kind::Stream(stream), true) => (None, Some(stream)),
            (_, streamed) => {
                let wanted = if streamed { "a stream" } else { "one message" };
                let text = format!("{} takes {wanted}", method.path());
                return Err(self.not_sent(Status::internal(text)));
            }
        };
        let ((sender, receiver), packing) = loop {
            let connection = self.ready(deadline).await?;
            if !connection.is_native() {
                return Err(self.not_sent(Status::unimplemented(format!(
                    "{} streams messages, and the server is a plain one, which cannot",
                    method.path()
                ))));
            }
            let limit = connection.max_message();
            let timeout_us = deadline
                .map(|deadline| whole_microseconds(deadline.saturating_duration_since(now())));
            let packing = self.packing(&connection);
            let head = |encoding| Head::to_record(timeout_us, request.metadata(), encoding);
            let payload = match &message {
                Some(message) => {
                    self.check(message, limit)?;
                    let (message, encoding) =
                        envelope::pack(message.clone(), packing, request.compression());
                    envelope::write(head(encoding), message, Bytes::new())
                }
                None => Payload::from(head(packing.map(|packing| packing.encoding))),
            };
            let complete = message.is_some();
            let path = method.wire_path();
            match connection.open(path, Format::Enveloped, payload, complete, deadline) {
                Ok(call) => {
                    if let Some(requests) = &mut requests {
                        requests.as_mut().begun(Callee {
                            drive: None,
                            max_message: Some(limit),
                        });
                    }
                    break (call, packing);
                }
                Err(CallFailure::Failed(error)) => return Err(self.failed(error)),
                // The connection has just become full or closed.
                Err(CallFailure::NotStarted(_)) => {}
            }
        };
        drop(message.take());
        let pump = requests.map(|requests| Pump::start(sender, requests, packing));
        let responses = Responses::new(receiver, Arc::clone(&self.endpoint), pump);
        let mut inbound = Inbound::new(responses, Direction::Response, self.max_message);
        let head = poll_fn(|context| inbound.poll_head(context)).await?;
        let mut response = Response::new(());
        if method.kind() == MethodKind::ClientStreaming {
            let message = poll_fn(|context| inbound.poll_single(context)).await?;
            response.set_was_compressed(message.was_compressed());
            response.set_metadata(head.metadata, inbound.take_trailers());
            return Ok(response.give(Body::from_message(message)));
        }
        response.set_metadata(head.metadata, Metadata::new());
        Ok(response.give(Body::from_stream(inbound)))
    }

    fn check(&self, message: &MessageBytes, limit: usize) -> Result<(), Status> {
        if message.len() <= limit {
            return Ok(());
        }
        Err(self.not_sent(Status::resource_exhausted(format!(
            "the message has {} bytes and the server accepts {limit} (setting: the server's max_message)",
            message.len()
        ))))
    }

    async fn ready(&self, deadline: Option<Instant>) -> Result<Connection, Status> {
        self.client
            .ready(deadline)
            .await
            .map_err(|error| self.failed(error))
    }

    /// Sends the request and waits for its response, on another connection if the first one has just become full or
    /// closed.
    async fn send(
        &self,
        mut connection: Connection,
        method: &MethodDescriptor,
        mut payload: Payload,
        deadline: Option<Instant>,
    ) -> Result<Bytes, Status> {
        let (native, packing) = (connection.is_native(), self.packing(&connection));
        loop {
            let call = connection.call(method.wire_path(), Format::Enveloped, payload, deadline);
            match call.await {
                Ok(data) => return Ok(data),
                Err(CallFailure::Failed(error)) => return Err(self.failed(error)),
                Err(CallFailure::NotStarted(unsent)) => payload = unsent,
            }
            connection = self.ready(deadline).await?;
            if connection.is_native() != native || self.packing(&connection) != packing {
                // The payload has the other form. It happens once, when a server is replaced by one of the other kind.
                let text =
                    "the server was replaced by one that speaks another version of the protocol";
                return Err(self.not_sent(Status::unavailable(text)));
            }
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("endpoint", &self.endpoint)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
