use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iip_core::Outcome;
use iip_core::balance::{EndpointId, EndpointState, Pick, Verdict};
use iip_core::client::CloseReport;
use iip_core::conn::{CallFailure, CallReceiver, CallSender, Connection, Usage};
use iip_core::session::{Format, Payload};
use tokio::time::timeout_at;

use super::attempts::Failed;
use super::classify::{Circumstances, Failure};
use super::hash_by::HashBy;
use super::place::{Destination, Placed};
use super::reliability::Reliability;
use super::stream::{Pump, Responses};
use crate::body::{BodyStream, Callee};
use crate::compression::Packing;
use crate::deadline::{NO_DEADLINE, after, now, whole_microseconds};
use crate::envelope::{self, Direction, Head, MessageBytes, Trailer};
use crate::layer::{BoxedService, Endpoint, Layered, Layers};
use crate::stream::Inbound;
use crate::{Body, Code, Metadata, MethodDescriptor, MethodKind, Request, Response, Status, plain};

/// Connections to a server, or to many servers of one name, shared by any number of clients and calls. Cheap to clone;
/// the connections close when the last clone is dropped.
#[derive(Clone)]
pub struct Channel {
    destination: Destination,
    endpoint: Arc<str>,
    pub(super) timeout: Option<Duration>,
    max_message: usize,
    compress: Option<Packing>,
    hash_by: Option<Arc<HashBy>>,
    pub(super) reliability: Arc<Reliability>,
    /// This channel without layers, inside its layers.
    pub(super) layers: Option<Arc<Layered<BoxedService>>>,
}

impl Channel {
    /// Where the channel leads, in canonical form.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What calls hold now of the connections on which calls may begin.
    pub fn usage(&self) -> Usage {
        self.destination.usage()
    }

    /// The endpoints behind a name, in the order of their list; none for a channel of one address.
    pub fn endpoints(&self) -> Vec<EndpointState> {
        self.destination.endpoints()
    }

    /// Closes the channel and all of its clones: a call that is made from now on fails with `UNAVAILABLE` and was not
    /// sent. Waits until every call in progress has its answer and every connection has ended; calls that still run after
    /// `grace` fail then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the channel closed, and its calls without a limit but their own.
    pub async fn close(&self, grace: Duration) -> CloseReport {
        self.destination.close_within(grace).await
    }

    pub(super) fn new(
        destination: Destination,
        endpoint: Arc<str>,
        timeout: Option<Duration>,
        max_message: usize,
        reliability: Reliability,
    ) -> Self {
        Self {
            destination,
            endpoint,
            timeout,
            max_message,
            compress: None,
            hash_by: None,
            reliability: Arc::new(reliability),
            layers: None,
        }
    }

    pub(super) fn compressing(self, compress: Option<Packing>) -> Self {
        Self { compress, ..self }
    }

    pub(super) fn hashing(self, hash_by: Option<HashBy>) -> Self {
        Self {
            hash_by: hash_by.map(Arc::new),
            ..self
        }
    }

    /// What is known of a call when it is placed.
    pub(super) fn pick(&self, now: Instant, request: &Request<Body>) -> Pick {
        let pick = Pick::new(now);
        match &self.hash_by {
            None => pick,
            Some(hash_by) => hash_by.key(request).map_or(pick, |key| pick.with_key(key)),
        }
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
    pub(super) async fn call_layered(
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

    /// Adds where the call went.
    pub(super) fn here(&self, status: Status) -> Status {
        status.with_endpoint(Arc::clone(&self.endpoint))
    }

    pub(super) fn not_sent(&self, status: Status) -> Status {
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
    fn decode(
        &self,
        method: &MethodDescriptor,
        native: bool,
        data: Bytes,
    ) -> Result<Response<Body>, Status> {
        if !native {
            let message = plain::response(data).map_err(|status| self.here(status))?;
            return Ok(Response::new(Body::from_message(message)));
        }
        let largest = method.responses().within(self.max_message);
        let inbound = envelope::read(Direction::Response, data, largest)
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
pub(super) enum Timeout {
    /// As long as the channel's calls may by default.
    Default,
    /// Until its own deadline.
    Own(Instant),
}

/// An attempt, apart from what it sends.
#[derive(Clone, Copy)]
pub(super) struct Attempted<'a> {
    pub(super) method: &'static MethodDescriptor,
    pub(super) request: &'a Request<()>,
    /// What the server is told.
    pub(super) timeout: Timeout,
    /// When this attempt must have ended; that of a method that streams, when its response must have begun.
    pub(super) deadline: Option<Instant>,
    /// When the call must have ended.
    pub(super) call_deadline: Option<Instant>,
    /// What is known of it when it is placed, so how many attempts there were before.
    pub(super) pick: Pick,
    /// Where they were made. Without it this is the only one so far.
    pub(super) tried: Option<&'a Tried>,
}

/// The endpoints at which the attempts of a call were made, or are.
#[derive(Default)]
pub(super) struct Tried(Mutex<Vec<EndpointId>>);

impl Tried {
    fn list(&self) -> Vec<EndpointId> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.clone()
    }

    pub(super) fn add(&self, endpoint: Option<EndpointId>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = endpoint
            && !list.contains(&endpoint)
        {
            list.push(endpoint);
        }
    }
}

impl Channel {
    /// Makes one attempt of a unary call.
    pub(super) async fn attempt(
        &self,
        attempted: Attempted<'_>,
        message: &MessageBytes,
    ) -> Result<Response<Body>, Failed> {
        loop {
            let mut placed = match self.place_at_once(&attempted) {
                Some(placed) => placed,
                // Seldom: the future of a call does not have to hold it.
                None => Box::pin(self.place(&attempted)).await?,
            };
            let connection = placed.connection();
            let native = connection.is_native();
            let (request, timeout) = (attempted.request, attempted.timeout);
            let payload = match self.encode(connection, message.clone(), request, timeout) {
                Ok(payload) => payload,
                Err(status) => return Err(self.failed(&attempted, status, Some(&mut placed))),
            };
            let path = attempted.method.wire_path();
            let call = connection.call(path, Format::Enveloped, payload, attempted.deadline);
            let answer = match call.await {
                Ok(data) => self.decode(attempted.method, native, data),
                Err(CallFailure::Failed(error)) => Err(self.here(Status::from(error))),
                // The connection has just become full or closed.
                Err(CallFailure::NotStarted(_)) => continue,
            };
            return match answer {
                Ok(response) => {
                    placed.finish(Verdict::Success);
                    Ok(response)
                }
                Err(status) => Err(self.failed(&attempted, status, Some(&mut placed))),
            };
        }
    }

    /// Makes one attempt of a call of a method that streams, and waits until its response begins. It sends `message`, or
    /// what `requests` has: that is taken once the call has begun.
    pub(super) async fn attempt_stream(
        &self,
        attempted: Attempted<'_>,
        message: Option<&MessageBytes>,
        mut requests: Option<Pin<Box<dyn BodyStream>>>,
    ) -> Result<Response<Body>, Failed> {
        let deadline = attempted.call_deadline;
        let (placed, (sender, receiver), packing) = loop {
            let mut placed = match self.place_at_once(&attempted) {
                Some(placed) => placed,
                // Seldom: the future of a call does not have to hold it.
                None => Box::pin(self.place(&attempted)).await?,
            };
            let opened = self.open(&attempted, placed.connection(), message);
            let (call, packing) = match opened {
                Ok(Some(opened)) => opened,
                // The connection has just become full or closed.
                Ok(None) => continue,
                Err(status) => return Err(self.failed(&attempted, status, Some(&mut placed))),
            };
            if let Some(requests) = &mut requests {
                requests.as_mut().begun(Callee {
                    drive: None,
                    max_message: Some(placed.connection().max_message()),
                });
            }
            break (placed, call, packing);
        };
        let pump = requests.map(|requests| Pump::start(sender, requests, packing));
        let responses = Responses::new(receiver, Arc::clone(&self.endpoint), pump, placed);
        let largest = attempted.method.responses().within(self.max_message);
        let mut inbound = Inbound::new(responses, Direction::Response, largest);
        let head = poll_fn(|context| inbound.poll_head(context));
        let begun = match attempted.deadline.filter(|_| attempted.deadline != deadline) {
            None => head.await,
            Some(at) => timeout_at(at.into(), head).await.unwrap_or_else(|_| {
                let text = "the attempt's time passed before the response began (setting: retry, attempt_timeout)";
                let status = Status::deadline_exceeded(text)
                    .with_phase("response")
                    .with_outcome(Outcome::Unknown);
                Err(self.here(status))
            }),
        };
        let head = match begun {
            Ok(head) => head,
            Err(status) => {
                let placed = inbound.frames_mut().placed_mut();
                return Err(self.failed(&attempted, status, Some(placed)));
            }
        };
        let mut response = Response::new(());
        if attempted.method.kind() != MethodKind::ClientStreaming {
            let placed = inbound.frames_mut().placed_mut();
            placed.finish(Verdict::Success);
            response.set_metadata(head.metadata, Metadata::new());
            return Ok(response.give(Body::from_stream(inbound)));
        }
        let message = poll_fn(|context| inbound.poll_single(context)).await;
        let placed = inbound.frames_mut().placed_mut();
        match message {
            Ok(message) => {
                placed.finish(Verdict::Success);
                response.set_was_compressed(message.was_compressed());
                response.set_metadata(head.metadata, inbound.take_trailers());
                Ok(response.give(Body::from_message(message)))
            }
            Err(status) => Err(self.failed(&attempted, status, Some(placed))),
        }
    }

    /// Begins a call of a method that streams. `None`: the connection takes no call now.
    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn open(
        &self,
        attempted: &Attempted<'_>,
        connection: &Connection,
        message: Option<&MessageBytes>,
    ) -> Result<Option<((CallSender, CallReceiver), Option<Packing>)>, Status> {
        let Attempted {
            method, request, ..
        } = *attempted;
        if !connection.is_native() {
            return Err(self.not_sent(Status::unimplemented(format!(
                "{} streams messages, and the server is a plain one, which cannot",
                method.path()
            ))));
        }
        let deadline = attempted.call_deadline;
        let timeout_us =
            deadline.map(|deadline| whole_microseconds(deadline.saturating_duration_since(now())));
        let packing = self.packing(connection);
        let head = |encoding| Head::to_record(timeout_us, request.metadata(), encoding);
        let payload = match message {
            Some(message) => {
                self.check(message, connection.max_message())?;
                let (message, encoding) =
                    envelope::pack(message.clone(), packing, request.compression());
                envelope::write(head(encoding), message, Bytes::new())
            }
            None => Payload::from(head(packing.map(|packing| packing.encoding))),
        };
        let (path, complete) = (method.wire_path(), message.is_some());
        match connection.open(path, Format::Enveloped, payload, complete, deadline) {
            Ok(call) => Ok(Some((call, packing))),
            Err(CallFailure::Failed(error)) => Err(self.here(Status::from(error))),
            Err(CallFailure::NotStarted(_)) => Ok(None),
        }
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

    /// A connection for an attempt that is the only one so far, if none has to be waited for.
    #[inline]
    fn place_at_once(&self, attempted: &Attempted<'_>) -> Option<Placed> {
        match attempted.tried {
            None => self.destination.try_place(&attempted.pick),
            Some(_) => None,
        }
    }

    /// Waits for a connection.
    async fn place(&self, attempted: &Attempted<'_>) -> Result<Placed, Failed> {
        let tried = attempted.tried.map(Tried::list).unwrap_or_default();
        let place = self
            .destination
            .place(|| attempted.pick, &tried, attempted.deadline);
        let placed = match &self.reliability.breaker {
            None => place.await,
            Some(breaker) => {
                let mut place = pin!(place);
                let at_once = poll_fn(|context| Poll::Ready(place.as_mut().poll(context))).await;
                match at_once {
                    Poll::Ready(placed) => placed,
                    Poll::Pending => match breaker.pending() {
                        Ok(_waits) => place.await,
                        Err(status) => {
                            return Err(self.failed(attempted, self.here(status), None));
                        }
                    },
                }
            }
        };
        match placed {
            Ok(placed) => {
                if let Some(tried) = attempted.tried {
                    tried.add(placed.endpoint());
                }
                Ok(placed)
            }
            Err(error) => Err(self.failed(attempted, self.here(Status::from(error)), None)),
        }
    }

    /// How an attempt failed that got this status, over this connection if it got one.
    #[cold]
    fn failed(
        &self,
        attempted: &Attempted<'_>,
        status: Status,
        placed: Option<&mut Placed>,
    ) -> Failed {
        let now = now();
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        let known = Circumstances {
            placed: placed.is_some(),
            expired: passed(attempted.call_deadline),
            attempt_expired: passed(attempted.deadline),
        };
        let failure = Failure::of(&status, known);
        let mut tried = attempted.tried.map(Tried::list).unwrap_or_default();
        let (mut status, mut endpoint) = (status, None);
        if let Some(placed) = placed {
            status = placed.located(status);
            endpoint = placed.endpoint();
            tried.extend(endpoint);
            placed.finish(failure.verdict(status.outcome(), known));
        }
        Failed {
            status,
            failure,
            others: self.destination.has_others(&tried),
            endpoint,
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
