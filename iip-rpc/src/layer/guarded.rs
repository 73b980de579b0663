use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::failure::panicked;
use crate::body::{BodyStream, Callee, Kind};
use crate::envelope::Batch;
use crate::{Body, Metadata, Response, Status};

/// What a layer keeps until a streamed response has ended.
pub(crate) trait Guard: Send + Unpin + 'static {
    /// Makes a panic inside the end of the stream.
    const CATCHES_PANICS: bool = false;

    /// Does what is done inside.
    fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }

    /// Ready when the stream must end, and why.
    fn poll_stop(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let _ = context;
        Poll::Pending
    }

    /// Told once how the response ended, before the guard is dropped.
    fn ended(&mut self, status: Option<&Status>) {
        let _ = status;
    }
}

/// A permit needs only to be kept.
impl Guard for tokio::sync::OwnedSemaphorePermit {}

/// Lets `guard` stand around the rest of a response: for one message it ends at once.
pub(crate) fn guard<G: Guard>(response: Response<Body>, mut guard: G) -> Response<Body> {
    response.map(|body| match body.into_kind() {
        Kind::Message(message) => {
            guard.ended(None);
            Body::from_message(message)
        }
        Kind::Stream(inner) => Body::from_stream(Guarded {
            inner: Some(inner),
            guard: Some(guard),
        }),
    })
}

struct Guarded<G: Guard> {
    /// `None` when it failed.
    inner: Option<Pin<Box<dyn BodyStream>>>,
    /// `None` when it ended.
    guard: Option<G>,
}

impl<G: Guard> Guarded<G> {
    fn end(&mut self, status: Option<&Status>) {
        if let Some(mut guard) = self.guard.take() {
            guard.ended(status);
        }
    }
}

impl<G: Guard> BodyStream for Guarded<G> {
    fn poll_records(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let inner = inner.as_mut();
        let Some(guard) = &mut this.guard else {
            return inner.poll_records(context);
        };
        let mut polled = if G::CATCHES_PANICS {
            let poll = || guard.within(|| inner.poll_records(context));
            let caught = catch_unwind(AssertUnwindSafe(poll));
            caught.unwrap_or_else(|_| Poll::Ready(Some(Err(panicked()))))
        } else {
            guard.within(|| inner.poll_records(context))
        };
        if polled.is_pending()
            && let Poll::Ready(status) = guard.poll_stop(context)
        {
            polled = Poll::Ready(Some(Err(status)));
        }
        match &polled {
            Poll::Ready(Some(Err(status))) => {
                let status = status.clone();
                this.end(Some(&status));
                this.inner = None;
            }
            Poll::Ready(None) => this.end(None),
            _ => {}
        }
        polled
    }

    fn consumed(mut self: Pin<&mut Self>, cost: usize) {
        if let Some(inner) = &mut self.inner {
            inner.as_mut().consumed(cost);
        }
    }

    fn poll_progress(mut self: Pin<&mut Self>, context: &mut Context<'_>) {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return;
        };
        let Some(guard) = &mut this.guard else {
            return inner.as_mut().poll_progress(context);
        };
        guard.within(|| inner.as_mut().poll_progress(context));
    }

    fn is_over(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.is_over())
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        match &mut self.inner {
            Some(inner) => inner.as_mut().trailers(),
            None => Metadata::new(),
        }
    }

    fn begun(mut self: Pin<&mut Self>, callee: Callee) {
        if let Some(inner) = &mut self.inner {
            inner.as_mut().begun(callee);
        }
    }
}

impl<G: Guard> Drop for Guarded<G> {
    fn drop(&mut self) {
        if self.guard.is_none() {
            return;
        }
        let given_up = Status::cancelled("the stream was dropped before its end");
        let over = self.is_over();
        self.end(if over { None } else { Some(&given_up) });
    }
}
