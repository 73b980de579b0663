use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::task::Running;
use crate::body::BodyStream;
use crate::envelope::Batch;
use crate::stream::Queue;
use crate::{Body, Metadata, Response, Status};

/// The answers of a handler that streams, with the handler itself: polling them lets it go on. Dropping them drops it.
pub(super) struct Answers {
    handler: Running<()>,
    out: Arc<Queue>,
    /// The handler's result, once it is over.
    result: Option<Result<(), Status>>,
}

impl Answers {
    pub(super) fn new(handler: Running<()>, out: Arc<Queue>) -> Self {
        Self {
            handler,
            out,
            result: None,
        }
    }

    /// The response, when the handler has said something or is over.
    pub(super) async fn begun(mut self) -> Result<Response<Body>, Status> {
        poll_fn(|context| {
            self.poll_handler(context);
            if self.result.is_some() || self.out.has_spoken(context.waker()) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        if self.out.is_empty()
            && let Some(Err(_)) = &self.result
        {
            return Err(self.failure());
        }
        let mut response = Response::new(());
        response.set_metadata(self.out.take_metadata(), Metadata::new());
        Ok(response.give(Body::from_stream(self)))
    }

    fn poll_handler(&mut self, context: &mut Context<'_>) {
        self.out.watched();
        if self.result.is_none()
            && let Poll::Ready(result) = Pin::new(&mut self.handler).poll(context)
        {
            // Senders that live on, in another task, send no more.
            self.out.finish();
            self.result = Some(result);
        }
    }

    /// The status of a handler that failed, with the trailers it had set.
    fn failure(&mut self) -> Status {
        let failed = self.result.replace(Ok(()));
        let mut status = match failed {
            Some(Err(status)) => status,
            _ => super::failure::panicked(),
        };
        for (key, value) in self.out.take_trailers().iter() {
            // What exceeds the limits together with the status's own is left out.
            let _ = status.metadata_mut().append(key.clone(), value.clone());
        }
        status
    }
}

impl BodyStream for Answers {
    fn poll_records(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        if let Some(batch) = self.out.take(context.waker()) {
            return Poll::Ready(Some(Ok(batch)));
        }
        self.poll_handler(context);
        if let Some(batch) = self.out.take_or_wait(context.waker()) {
            return Poll::Ready(Some(Ok(batch)));
        }
        match &self.result {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(_)) => Poll::Ready(Some(Err(self.failure()))),
        }
    }

    fn poll_progress(mut self: Pin<&mut Self>, context: &mut Context<'_>) {
        self.poll_handler(context);
    }

    fn is_over(&self) -> bool {
        matches!(self.result, Some(Ok(()))) && self.out.is_empty() && !self.out.has_trailers()
    }

    fn trailers(self: Pin<&mut Self>) -> Metadata {
        self.out.take_trailers()
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.out.close();
    }
}
