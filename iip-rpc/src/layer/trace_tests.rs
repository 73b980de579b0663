use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Subscriber};
use tracing::{Event, Metadata as SpanMetadata};

use super::fixture_tests::{Echo, call, request};
use super::trace::{Endpoint, address_and_port};
use super::{Trace, TraceContext, interceptor, layered};
use crate::Code;

type Fields = BTreeMap<String, String>;

/// Keeps the fields of every span.
#[derive(Clone, Default)]
struct Spans {
    next: Arc<AtomicU64>,
    fields: Arc<Mutex<BTreeMap<u64, Fields>>>,
}

struct Write<'a>(&'a mut Fields);

impl Visit for Write<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &SpanMetadata<'_>) -> bool {
        metadata.target() == "iip_rpc::trace"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields::new();
        attributes.record(&mut Write(&mut fields));
        self.fields.lock().unwrap().insert(id, fields);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = self.fields.lock().unwrap();
        values.record(&mut Write(fields.entry(span.into_u64()).or_default()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn spans() -> (Spans, DefaultGuard) {
    let spans = Spans::default();
    let guard = tracing::subscriber::set_default(spans.clone());
    (spans, guard)
}

impl Spans {
    fn take(&self) -> Vec<Fields> {
        std::mem::take(&mut *self.fields.lock().unwrap())
            .into_values()
            .collect()
    }
}

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

#[tokio::test]
async fn a_span_has_the_fields_of_the_convention() {
    let (spans, _guard) = spans();
    let service = layered(Echo::default(), Trace::client());
    assert!(call(&service, request()).await.is_ok());
    let status = call(&service, request().with_metadata("end", "fail")).await;
    assert_eq!(status.unwrap_err().code(), Code::NotFound);
    let [ok, failed] = &spans.take()[..] else {
        panic!("not two spans");
    };
    for (name, value) in [
        ("otel.kind", "client"),
        ("otel.name", "test.Echo/Say"),
        ("rpc.system", "iip"),
        ("rpc.service", "test.Echo"),
        ("rpc.method", "Say"),
        ("rpc.iip.status_code", "0"),
        ("error.type", ""),
    ] {
        assert_eq!(field(ok, name), value, "{name}");
    }
    assert_eq!(field(failed, "rpc.iip.status_code"), "5");
    assert_eq!(field(failed, "error.type"), "NOT_FOUND");
    assert_eq!(field(failed, "error.message"), "nothing here");
    assert_eq!(field(failed, "otel.status_code"), "ERROR");
}

#[tokio::test]
async fn what_the_caller_did_wrong_is_no_error_of_the_server() {
    let (spans, _guard) = spans();
    let service = layered(Echo::default(), Trace::server());
    assert!(
        call(&service, request().with_metadata("end", "fail"))
            .await
            .is_err()
    );
    let fields = &spans.take()[0];
    assert_eq!(field(fields, "otel.kind"), "server");
    assert_eq!(field(fields, "error.type"), "NOT_FOUND");
    assert_eq!(field(fields, "otel.status_code"), "");
}

#[tokio::test]
async fn the_trace_goes_on_from_client_to_server_and_further() {
    let (spans, _guard) = spans();
    let end = layered(Echo::default(), Trace::server());
    let further = layered(end, Trace::client());
    // A handler that makes a call of its own.
    let handler = interceptor(move |mut request, next| {
        let further = further.clone();
        async move {
            let context = *request.extensions().get::<TraceContext>().unwrap();
            assert_eq!(TraceContext::current(), Some(context));
            request.metadata_mut().remove(TraceContext::KEY);
            drop(next);
            call_body(&further, request).await
        }
    });
    let server = layered(layered(Echo::default(), handler), Trace::server());
    let client = layered(server, Trace::client());
    let reply = call(&client, request()).await.unwrap();
    assert!(reply.metadata().get(TraceContext::KEY).is_some());
    let spans = spans.take();
    assert_eq!(spans.len(), 4);
    assert_eq!(field(&spans[0], "parent_span_id"), "");
    for pair in spans.windows(2) {
        assert_eq!(field(&pair[1], "trace_id"), field(&pair[0], "trace_id"));
        assert_eq!(
            field(&pair[1], "parent_span_id"),
            field(&pair[0], "span_id")
        );
    }
}

async fn call_body(
    service: &impl crate::RpcService,
    request: crate::Request<crate::Body>,
) -> Result<crate::Response<crate::Body>, crate::Status> {
    // A request of its own: nothing of the one being handled is passed on by hand.
    let (body, request) = request.take();
    let mut own = crate::Request::new(body);
    if let Some(method) = request.method() {
        own.set_method(method);
    }
    service.call(own).await
}

#[tokio::test]
async fn a_traceparent_of_the_callers_is_continued_and_a_bad_one_is_not() {
    let (spans, _guard) = spans();
    let service = layered(Echo::default(), Trace::server());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for text in [parent, "00-zz-01"] {
        let request = request().with_metadata(TraceContext::KEY, text);
        assert!(call(&service, request).await.is_ok());
    }
    let spans = spans.take();
    assert_eq!(
        field(&spans[0], "trace_id"),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(field(&spans[0], "parent_span_id"), "00f067aa0ba902b7");
    assert_ne!(
        field(&spans[1], "trace_id"),
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(field(&spans[1], "parent_span_id"), "");
}

#[tokio::test]
async fn the_span_names_the_channels_address() {
    let (spans, _guard) = spans();
    let traced = layered(Echo::default(), Trace::client());
    let endpoint = interceptor(|mut request, next| async move {
        let endpoint = Endpoint("iip://[::1]:9090".into());
        request.extensions_mut().insert(endpoint);
        next.run(request).await
    });
    assert!(call(&layered(traced, endpoint), request()).await.is_ok());
    let fields = &spans.take()[0];
    assert_eq!(field(fields, "server.address"), "::1");
    assert_eq!(field(fields, "server.port"), "9090");
}

#[test]
fn addresses_are_split_from_ports() {
    for (endpoint, parts) in [
        ("iip://127.0.0.1:80", ("127.0.0.1", Some(80))),
        ("iip://host.example:9090", ("host.example", Some(9090))),
        ("iip://[::1]:1", ("::1", Some(1))),
        ("unix:///run/a:1", ("/run/a:1", None)),
        ("memory://name", ("name", None)),
    ] {
        assert_eq!(address_and_port(endpoint), parts);
    }
}
