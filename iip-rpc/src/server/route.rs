use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use iip_core::server::{Failure, Incoming, Reply, Route, Runner, Terms};
use iip_core::session::{Delivery, Format, Payload};
use prost::Message;

use super::dispatch::Messages;
use super::failure::{self, failed};
use super::{handle, terms};
use crate::cancellation::Scope;
use crate::compression::Packing;
use crate::deadline::{Inherit, now, on_arrival};
use crate::envelope::{self, Direction, Head, MessageBytes, Trailer};
use crate::stream::cancelled;
use crate::{Body, MethodDescriptor, Request, Response, Status, plain};

/// A unary method behind a connection: decodes what arrives, runs the handler, encodes what it answers.
pub(crate) struct UnaryRoute<F, Req, Res> {
    pub(crate) descriptor: &'static MethodDescriptor,
    pub(crate) handler: Arc<F>,
    pub(crate) messages: Messages,
    pub(crate) types: PhantomData<fn(Req) -> Res>,
}

impl<F, Fut, Req, Res> Route for UnaryRoute<F, Req, Res>
where
    F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Res>, Status>> + Send + 'static,
    Req: Message + Default + 'static,
    Res: Message + 'static,
{
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
        Box::pin(UnaryRunner {
            descriptor: self.descriptor,
            handler: Arc::clone(&self.handler),
            messages: self.messages,
            begun: None,
            future: Box::pin(None),
            enveloped: false,
            compress: None,
            deadline: None,
            scope: None,
            types: PhantomData,
        })
    }

    fn terms(&self, records: &[u8], default: Option<Duration>) -> Terms {
        terms::of(records, default)
    }

    fn failure(&self, failure: &Failure, enveloped: bool) -> Payload {
        failure::of_framework(failure, enveloped)
    }
}

/// Runs one call after another of a method on a connection. What it holds is allocated once: a call whose handler is
/// ready at its first poll allocates nothing here.
struct UnaryRunner<F, Fut, Req, Res> {
    descriptor: &'static MethodDescriptor,
    handler: Arc<F>,
    messages: Messages,
    /// A request that was read and not polled yet, or why it cannot be run.
    begun: Option<Result<(MessageBytes, Request<()>), Status>>,
    /// The handler's future. Pinned apart, so that it can be replaced while this runner stays where it is.
    future: Pin<Box<Option<Fut>>>,
    enveloped: bool,
    /// How the response is compressed.
    compress: Option<Packing>,
    deadline: Option<Instant>,
    /// Made for the first call, and used call after call: the connection stays the same.
    scope: Option<Arc<Scope>>,
    types: PhantomData<fn(Req) -> Res>,
}

/// Reads a request up to its message, which is decoded where the handler runs.
pub(super) fn read(
    incoming: Incoming,
    descriptor: &'static MethodDescriptor,
    max_message: usize,
    scope: &Arc<Scope>,
) -> Result<(MessageBytes, Request<()>), Status> {
    let mut request = Request::new(());
    request.set_method(descriptor);
    request.enter(scope);
    if !incoming.is_enveloped() {
        let message = plain::incoming(incoming.into_data());
        descriptor.requests().check(|| message.len())?;
        return Ok((message, request));
    }
    let (arrived, default) = (incoming.arrived(), incoming.default_timeout());
    let largest = descriptor.requests().within(max_message);
    let inbound = envelope::read(Direction::Request, incoming.into_data(), largest)
        .map_err(|error| error.in_request())?;
    let own_timeout = inbound.head.timeout_us;
    let deadline = on_arrival(arrived, own_timeout, default);
    // Only a timeout of the call's own is worth a look at the clock: a default one has hardly begun.
    if own_timeout.is_some() && deadline.is_some_and(|deadline| deadline <= now()) {
        return Err(failure::expired());
    }
    let Some(message) = inbound.message.filter(|_| inbound.cancelled.is_none()) else {
        return Err(cancelled());
    };
    descriptor.requests().check(|| message.len())?;
    request.set_deadline(deadline);
    request.set_metadata(inbound.head.metadata);
    request.set_was_compressed(message.was_compressed());
    Ok((message, request))
}

impl<F, Fut, Req, Res> Runner for UnaryRunner<F, Fut, Req, Res>
where
    F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Res>, Status>> + Send + 'static,
    Req: Message + Default + 'static,
    Res: Message + 'static,
{
    fn begin(mut self: Pin<&mut Self>, request: Incoming) {
        self.enveloped = request.is_enveloped();
        self.compress = self.messages.answer(&request);
        let this = &mut *self;
        let scope = this
            .scope
            .get_or_insert_with(|| Scope::reused(request.peer()));
        let begun = read(request, this.descriptor, this.messages.max, scope);
        self.deadline = match &begun {
            Ok((_, request)) => request.deadline(),
            Err(_) => None,
        };
        self.begun = Some(begun);
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl<F, Fut, Req, Res> Future for UnaryRunner<F, Fut, Req, Res>
where
    F: Fn(Request<Req>) -> Fut,
    Fut: Future<Output = Result<Response<Res>, Status>>,
    Req: Message + Default,
    Res: Message,
{
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let this = &mut *self;
        let (enveloped, compress) = (this.enveloped, this.compress);
        // Also while the handler makes its future, and while it is dropped.
        let _inherit = Inherit::enter(this.deadline);
        if let Some(begun) = this.begun.take() {
            let request = begun.and_then(|(message, request)| Ok(request.give(message.decode()?)));
            match request {
                Ok(request) => this.future.set(Some((this.handler)(request))),
                Err(status) => return Poll::Ready(Reply::from(failed(&status, true, enveloped))),
            }
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let Poll::Ready(result) = future.poll(context) else {
            return Poll::Pending;
        };
        this.future.set(None);
        if let Some(scope) = &this.scope {
            scope.end();
        }
        let descriptor = this.descriptor;
        let payload = match result
            .and_then(|response| succeeded(response, descriptor, compress, enveloped))
        {
            Ok(payload) => payload,
            // A status that a handler passes on from a call of its own says nothing of this call, which did run.
            Err(status) => failed(&status, false, enveloped),
        };
        Poll::Ready(Reply::from(payload))
    }
}

impl<F, Fut, Req, Res> Drop for UnaryRunner<F, Fut, Req, Res> {
    fn drop(&mut self) {
        // In the middle of a call, if it was given up.
        self.future.set(None);
        if let Some(scope) = self.scope.take() {
            scope.end();
            scope.keep();
        }
    }
}

fn succeeded<Res: Message>(
    response: Response<Res>,
    descriptor: &MethodDescriptor,
    compress: Option<Packing>,
    enveloped: bool,
) -> Result<Payload, Status> {
    encoded(handle::encode(response, descriptor)?, compress, enveloped)
}

/// The response of a method whose message is encoded.
pub(super) fn encoded(
    response: Response<Body>,
    compress: Option<Packing>,
    enveloped: bool,
) -> Result<Payload, Status> {
    let (body, response) = response.take();
    let message = body.into_message()?;
    Ok(if enveloped {
        let (message, encoding) = envelope::pack(message, compress, response.compression());
        envelope::write(
            Head::to_record(None, response.metadata(), encoding),
            message,
            Trailer::ok_record(response.trailers()),
        )
    } else {
        Payload::from(plain::outgoing(message))
    })
}
