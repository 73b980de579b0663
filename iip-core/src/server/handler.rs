use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use super::frames::{FrameReceiver, FrameSender};
use super::handler_error::HandlerError;
use super::route::{Failure, Incoming, Reply, Route, Runner};
use crate::session::{Delivery, Format, Payload};

/// Answers the requests of a path with whole data: bytes in, bytes out.
///
/// A plain async closure becomes one with [`handler_fn`].
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// # Errors
    ///
    /// The error's text reaches the client as `{"code":-1,"message":"handler fail:<text>"}`; an empty answer as
    /// `{"code":101,"message":"handle no response"}`, and so does a panic. IIP has no error bit: a raw client sees all
    /// of these as data.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at its next await when the connection is lost or the server's grace is over.
    async fn handle(&self, request: Incoming) -> Result<Bytes, HandlerError>;
}

/// Answers the requests of a path frame by frame, while they arrive.
#[async_trait]
pub trait StreamHandler: Send + Sync + 'static {
    /// Answers one request. `request` has the path and the peer, `frames` the data.
    ///
    /// # Errors
    ///
    /// As for [`Handler::handle`], if nothing was sent. A response that has begun cannot turn into an error: it stays
    /// unfinished, and its client gives it up at its deadline.
    ///
    /// # Cancel safety
    ///
    /// As for [`Handler::handle`].
    async fn handle(
        &self,
        request: Incoming,
        frames: FrameReceiver,
        response: FrameSender,
    ) -> Result<(), HandlerError>;
}

/// A [`Handler`] made of an async closure.
pub fn handler_fn<F, Fut>(function: F) -> impl Handler
where
    F: Fn(Incoming) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Bytes, HandlerError>> + Send + 'static,
{
    FnHandler(function)
}

struct FnHandler<F>(F);

#[async_trait]
impl<F, Fut> Handler for FnHandler<F>
where
    F: Fn(Incoming) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Bytes, HandlerError>> + Send + 'static,
{
    async fn handle(&self, request: Incoming) -> Result<Bytes, HandlerError> {
        (self.0)(request).await
    }
}

/// The route of a raw handler.
pub(super) struct RawRoute<H> {
    handler: Arc<H>,
    delivery: Delivery,
}

impl<H> RawRoute<H> {
    pub(super) fn whole(handler: H) -> Self {
        Self {
            handler: Arc::new(handler),
            delivery: Delivery::Whole,
        }
    }

    pub(super) fn frames(handler: H) -> Self {
        Self {
            handler: Arc::new(handler),
            delivery: Delivery::Frames,
        }
    }
}

/// Raw handlers of both kinds, as the dispatcher sees them.
pub(super) trait Start: Send + Sync + 'static {
    fn start(self: Arc<Self>, request: Incoming) -> impl Future<Output = Reply> + Send + 'static;
}

pub(super) struct Whole<H>(pub(super) H);
pub(super) struct Frames<H>(pub(super) H);

impl<H: Handler> Start for Whole<H> {
    async fn start(self: Arc<Self>, request: Incoming) -> Reply {
        match self.0.handle(request).await {
            Ok(data) => Reply::from(Payload::Whole(data)),
            Err(error) => Reply::from(Payload::Whole(error.reply().to_json().into())),
        }
    }
}

impl<H: StreamHandler> Start for Frames<H> {
    async fn start(self: Arc<Self>, mut request: Incoming) -> Reply {
        let (frames, response) = request.take_frames();
        let begun = response.watch();
        match self.0.handle(request, frames, response).await {
            Ok(()) => Reply::unless_begun(Payload::Whole(Bytes::new()), &begun),
            Err(error) => {
                let payload = Payload::Whole(error.reply().to_json().into());
                Reply::unless_begun(payload, &begun)
            }
        }
    }
}

impl<H: Start> Route for RawRoute<H> {
    fn format(&self) -> Format {
        Format::Raw
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }

    fn runner(&self) -> Pin<Box<dyn Runner>> {
        let handler = Arc::clone(&self.handler);
        Box::pin(FutureRunner::new(move |request| {
            Arc::clone(&handler).start(request)
        }))
    }

    fn failure(&self, failure: &Failure, _native: bool) -> Payload {
        Payload::Whole(failure.reply().to_json().into())
    }
}

/// A [`Runner`] for any function that makes a future of a request.
pub struct FutureRunner<F, Fut> {
    make: F,
    /// Boxed once, then filled again for call after call.
    slot: Pin<Box<Option<Fut>>>,
}

impl<F, Fut> FutureRunner<F, Fut>
where
    F: Fn(Incoming) -> Fut + Send + Unpin,
    Fut: Future<Output = Reply> + Send,
{
    /// An empty runner.
    pub fn new(make: F) -> Self {
        Self {
            make,
            slot: Box::pin(None),
        }
    }
}

impl<F, Fut> Future for FutureRunner<F, Fut>
where
    F: Fn(Incoming) -> Fut + Send + Unpin,
    Fut: Future<Output = Reply> + Send,
{
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reply> {
        let Some(future) = self.slot.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let poll = future.poll(cx);
        if poll.is_ready() {
            self.slot.set(None);
        }
        poll
    }
}

impl<F, Fut> Runner for FutureRunner<F, Fut>
where
    F: Fn(Incoming) -> Fut + Send + Unpin,
    Fut: Future<Output = Reply> + Send,
{
    fn begin(mut self: Pin<&mut Self>, request: Incoming) {
        let future = (self.make)(request);
        self.slot.set(Some(future));
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// How long a raw handler of a native client may run; raw calls carry no deadline of their own.
pub(super) const RAW_RUN_LIMIT: Duration = Duration::from_secs(60);
