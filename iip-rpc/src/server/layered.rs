//! Methods inside layers. Methods without layers have routes of their own, which nothing of this file slows down.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use iip_core::server::{Failure, Incoming, Reply, Route, Runner, Terms};
use iip_core::session::{Delivery, Format, Payload};

use super::dispatch::{self, Messages, Method};
use super::failure::{self, failed};
use super::stream_route::StreamRoute;
use super::{Methods, route, terms};
use crate::cancellation::Scope;
use crate::compression::Packing;
use crate::deadline::Inherit;
use crate::layer::{Answer, BoxedService, Layered, Layers};
use crate::{Body, MethodDescriptor, MethodKind, Outcome, Request, Response, RpcService, Status};

/// A method and how a server's connections call it.
type MethodRoute = (&'static MethodDescriptor, Arc<dyn Route>);

/// The routes of a server's services, each with its own layers; `around_all` stands around all of them.
pub(super) fn routes(
    services: Vec<(Methods, Layers)>,
    around_all: Layers,
    messages: Messages,
) -> Vec<MethodRoute> {
    let mut routes = Vec::new();
    let mut table = HashMap::new();
    for (methods, layers) in services {
        if around_all.is_empty() && layers.is_empty() {
            routes.extend(methods.routes(messages));
            continue;
        }
        let descriptors: Vec<_> = methods.descriptors().collect();
        let service = layers.around(methods);
        for descriptor in descriptors {
            table.insert(descriptor.path(), (descriptor, service.clone()));
        }
    }
    if table.is_empty() {
        return routes;
    }
    let table = Arc::new(table);
    // One service for all methods, since a layer around it may count their calls.
    let around = (!around_all.is_empty()).then(|| {
        let table = Arc::clone(&table);
        around_all.around(Dispatch { table })
    });
    routes.extend(table.values().map(|(descriptor, own)| {
        let method = LayeredMethod {
            descriptor,
            service: around.as_ref().unwrap_or(own).clone(),
        };
        (*descriptor, Arc::new(method).route(messages))
    }));
    routes
}

/// The layered methods of all services.
#[derive(Clone)]
struct Dispatch {
    table: Arc<HashMap<&'static str, (&'static MethodDescriptor, Layered<BoxedService>)>>,
}

impl RpcService for Dispatch {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let path = request.method().map_or("", MethodDescriptor::path);
        match self.table.get(path) {
            Some((_, service)) => service.start(request).await,
            None => Err(
                Status::unimplemented(format!("the server has no method {path}"))
                    .with_outcome(Outcome::NotProcessed),
            ),
        }
    }
}

/// A method whose calls go through layers.
struct LayeredMethod {
    descriptor: &'static MethodDescriptor,
    service: Layered<BoxedService>,
}

impl Method for LayeredMethod {
    fn descriptor(&self) -> &'static MethodDescriptor {
        self.descriptor
    }

    fn call(&self, request: Request<Body>) -> dispatch::Answer<'_> {
        self.service.start(request)
    }

    fn route(self: Arc<Self>, messages: Messages) -> Arc<dyn Route> {
        if self.descriptor.kind() != MethodKind::Unary {
            let method = self;
            return Arc::new(StreamRoute { method, messages });
        }
        Arc::new(LayeredRoute {
            descriptor: self.descriptor,
            service: self.service.clone(),
            messages,
        })
    }
}

/// A unary method behind a connection, as `UnaryRoute` is without layers.
struct LayeredRoute {
    descriptor: &'static MethodDescriptor,
    service: Layered<BoxedService>,
    messages: Messages,
}

impl Route for LayeredRoute {
    fn format(&self) -> Format {
        Format::Enveloped
    }

    fn delivery(&self) -> Delivery {
        Delivery::Whole
    }

    fn max_message(&self) -> Option<usize> {
        self.descriptor.request_limit()
    }

    fn runner(&self) -> Pin<Box<dyn Runner>> {
        Box::pin(LayeredRunner {
            descriptor: self.descriptor,
            service: self.service.clone(),
            messages: self.messages,
            begun: None,
            call: None,
            enveloped: false,
            compress: None,
            deadline: None,
            scope: None,
        })
    }

    fn terms(&self, records: &[u8], default: Option<Duration>) -> Terms {
        terms::of(records, default)
    }

    fn failure(&self, failure: &Failure, enveloped: bool) -> Payload {
        failure::of_framework(failure, enveloped)
    }
}

struct LayeredRunner {
    descriptor: &'static MethodDescriptor,
    service: Layered<BoxedService>,
    messages: Messages,
    /// A request that was read and not polled yet, or why it cannot be run.
    begun: Option<Result<Request<Body>, Status>>,
    call: Option<Answer>,
    enveloped: bool,
    /// How the response is compressed.
    compress: Option<Packing>,
    deadline: Option<Instant>,
    /// That of the call begun.
    scope: Option<Arc<Scope>>,
}

impl Runner for LayeredRunner {
    fn begin(mut self: Pin<&mut Self>, request: Incoming) {
        self.enveloped = request.is_enveloped();
        self.compress = self.messages.answer(&request);
        let scope = Scope::watched(Arc::clone(request.peer()));
        let begun = route::read(request, self.descriptor, self.messages.max, &scope);
        let begun = begun.map(|(message, request)| request.give(Body::from_message(message)));
        self.scope = Some(scope);
        self.deadline = begun.as_ref().ok().and_then(Request::deadline);
        self.begun = Some(begun);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for LayeredRunner {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let this = &mut *self;
        let (enveloped, compress) = (this.enveloped, this.compress);
        let _inherit = Inherit::enter(this.deadline);
        match this.begun.take() {
            Some(Ok(request)) => this.call = Some(this.service.start(request)),
            Some(Err(status)) => {
                return Poll::Ready(Reply::from(failed(&status, true, enveloped)));
            }
            None => {}
        }
        let Some(call) = &mut this.call else {
            return Poll::Pending;
        };
        let Poll::Ready(result) = call.as_mut().poll(context) else {
            return Poll::Pending;
        };
        this.end();
        let payload = result.and_then(|response| route::encoded(response, compress, enveloped));
        Poll::Ready(Reply::from(payload.unwrap_or_else(|status| {
            // The method's own status has no outcome: a layer says so that the method was not run.
            let not_processed = status.outcome() == Some(Outcome::NotProcessed);
            failed(&status, not_processed, enveloped)
        })))
    }
}

impl LayeredRunner {
    /// Drops what runs, and tells those who watch the call.
    fn end(&mut self) {
        self.call = None;
        if let Some(scope) = self.scope.take() {
            scope.end();
        }
    }
}

impl Drop for LayeredRunner {
    fn drop(&mut self) {
        self.end();
    }
}
