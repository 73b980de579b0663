use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use tracing::field::{Empty, display};
use tracing::{Span, info_span};

use super::guarded::{Guard, guard};
use super::intercept::{Intercept, Next, layer_of_intercept};
use super::trace_context::{Current, TraceContext};
use crate::{Body, Code, MethodDescriptor, Request, Response, Status};

/// A `tracing` span for each call, and the trace's context in metadata, as W3C Trace Context has it.
///
/// The span is named `rpc`, of level INFO and target `iip_rpc::trace`. Its fields are those of OpenTelemetry's
/// conventions for RPC:
///
/// | field | value |
/// | --- | --- |
/// | `otel.kind` | `client` or `server` |
/// | `otel.name` | `package.Service/Method` |
/// | `rpc.system` | `iip` |
/// | `rpc.service`, `rpc.method` | `package.Service`, `Method` |
/// | `rpc.iip.status_code` | the number of the [`Code`] it ended with; as gRPC's |
/// | `otel.status_code` | `ERROR` if it failed; on a server only if that is the server's fault |
/// | `error.type`, `error.message` | name of the code and the status's message, if it failed |
/// | `server.address`, `server.port` | client: where the channel leads |
/// | `network.peer.address` | server: who called |
/// | `trace_id`, `span_id`, `parent_span_id` | of W3C Trace Context, hexadecimal |
///
/// The server's layer continues the trace of the request's metadata, or begins one; the handler finds it in
/// [`Request::extensions`] and calls it makes belong to it. The client's layer continues the trace that the request's
/// extensions, its metadata or the handler being polled name. What is not a valid `traceparent` begins a new trace.
/// `tracestate` is passed on by whoever copies it.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    side: Side,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Client,
    Server,
}

/// Where the channel leads that a request goes through, in its extensions.
#[derive(Clone)]
pub(crate) struct Endpoint(pub(crate) Arc<str>);

impl Trace {
    /// For the calls of a channel.
    pub fn client() -> Self {
        Self { side: Side::Client }
    }

    /// For the calls of a server.
    pub fn server() -> Self {
        Self { side: Side::Server }
    }

    fn parent(self, request: &Request<Body>) -> Option<TraceContext> {
        let metadata = || request.metadata().get(TraceContext::KEY)?.parse().ok();
        match self.side {
            Side::Server => metadata(),
            Side::Client => request
                .extensions()
                .get::<TraceContext>()
                .copied()
                .or_else(metadata)
                .or_else(TraceContext::current),
        }
    }

    fn span(self, request: &Request<Body>) -> Span {
        let service = request.method().map_or("", MethodDescriptor::service);
        let method = request.method().map_or("", MethodDescriptor::name);
        let kind = match self.side {
            Side::Client => "client",
            Side::Server => "server",
        };
        let span = info_span!(
            target: "iip_rpc::trace",
            "rpc",
            otel.kind = kind,
            otel.name = %format_args!("{service}/{method}"),
            otel.status_code = Empty,
            rpc.system = "iip",
            rpc.service = service,
            rpc.method = method,
            rpc.iip.status_code = Empty,
            "error.type" = Empty,
            "error.message" = Empty,
            server.address = Empty,
            server.port = Empty,
            network.peer.address = Empty,
            trace_id = Empty,
            span_id = Empty,
            parent_span_id = Empty,
        );
        if span.is_disabled() {
            return span;
        }
        if let Some(peer) = request.peer() {
            span.record("network.peer.address", display(&peer.address));
        }
        if let Some(Endpoint(endpoint)) = request.extensions().get() {
            let (address, port) = address_and_port(endpoint);
            span.record("server.address", address);
            if let Some(port) = port {
                span.record("server.port", port);
            }
        }
        span
    }

    fn ended(self, span: &Span, status: Option<&Status>) {
        let code = status.map_or(Code::Ok, Status::code);
        span.record("rpc.iip.status_code", code.as_i32());
        let Some(status) = status else {
            return;
        };
        span.record("error.type", code.name());
        span.record("error.message", status.message());
        let error = match self.side {
            Side::Client => true,
            Side::Server => matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            ),
        };
        if error {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// Host and port of a channel's address; a path or a name as a whole.
pub(super) fn address_and_port(endpoint: &str) -> (&str, Option<u16>) {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    if matches!(scheme, "unix" | "memory") {
        return (rest, None);
    }
    match rest.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host.trim_matches(['[', ']']), Some(port)),
            Err(_) => (rest, None),
        },
        None => (rest, None),
    }
}

impl Intercept for Trace {
    async fn call(&self, mut request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
        let parent = self.parent(&request);
        let span = self.span(&request);
        let context = match &parent {
            Some(parent) => parent.child(),
            None => TraceContext::new_root(!span.is_disabled()),
        };
        span.record(
            "trace_id",
            display(format_args!("{:032x}", context.trace_id())),
        );
        span.record(
            "span_id",
            display(format_args!("{:016x}", context.span_id())),
        );
        if let Some(parent) = parent {
            span.record(
                "parent_span_id",
                display(format_args!("{:016x}", parent.span_id())),
            );
        }
        match self.side {
            Side::Server => drop(request.extensions_mut().insert(context)),
            // A request whose metadata is full goes without.
            Side::Client => {
                let _ = request
                    .metadata_mut()
                    .insert(TraceContext::KEY, context.to_string());
            }
        }
        let mut traced = Traced {
            trace: *self,
            span,
            context,
            ended: false,
        };
        let mut call = pin!(next.run(request));
        let result = poll_fn(|task| traced.within(|| call.as_mut().poll(task))).await;
        match result {
            Ok(response) => Ok(guard(response, traced)),
            Err(status) => {
                traced.ended(Some(&status));
                Err(status)
            }
        }
    }
}

/// A call in its span.
struct Traced {
    trace: Trace,
    span: Span,
    context: TraceContext,
    ended: bool,
}

impl Guard for Traced {
    fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let _span = self.span.enter();
        let _current = Current::enter(self.context);
        work()
    }

    fn ended(&mut self, status: Option<&Status>) {
        self.ended = true;
        self.trace.ended(&self.span, status);
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if !self.ended {
            let given_up = Status::cancelled("the call was given up");
            self.trace.ended(&self.span, Some(&given_up));
        }
    }
}

layer_of_intercept!(Trace);
