use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use prost::Message;

use super::{Answered, Calling};
use crate::{MethodDescriptor, Response, Status};

/// The one response of a call whose requests are streamed: a future.
///
/// It may be ready before the last request was sent; the sender is closed then. **Dropping it cancels the call.**
///
/// # Cancel safety
///
/// A reply that is polled by reference, in a `select!` for example, loses nothing.
#[must_use = "dropping the reply cancels the call"]
pub struct Reply<T> {
    call: Calling,
    /// Closes the sender once the response is there.
    requests: Option<Answered>,
    method: &'static MethodDescriptor,
    types: PhantomData<fn() -> T>,
}

impl<T> Reply<T> {
    pub(crate) fn new(
        call: Calling,
        requests: Answered,
        method: &'static MethodDescriptor,
    ) -> Self {
        Self {
            call,
            requests: Some(requests),
            method,
            types: PhantomData,
        }
    }
}

impl<T: Message + Default> Future for Reply<T> {
    type Output = Result<Response<T>, Status>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let method = self.method;
        let result = ready!(self.call.as_mut().poll(context));
        self.requests = None;
        Poll::Ready(result.and_then(|response| decode(response, method)))
    }
}

/// Decodes the one message of a response.
pub(crate) fn decode<T: Message + Default>(
    response: Response<crate::Body>,
    method: &MethodDescriptor,
) -> Result<Response<T>, Status> {
    let (body, response) = response.take();
    let message = body.into_message()?;
    method
        .responses()
        .check(|| message.len())
        .map_err(|status| status.with_phase("decode"))?;
    match message.decode() {
        Ok(message) => Ok(response.give(message)),
        Err(error) => Err(Status::internal(format!(
            "the response of {} cannot be decoded: {error}",
            method.path()
        ))
        .with_source(Arc::new(error) as Arc<_>)
        .with_phase("decode")),
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("method", &self.method.path())
            .finish_non_exhaustive()
    }
}
