use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use prost::Message;
use tokio::time::{Sleep, sleep_until};

use crate::deadline::{Inherit, now};
use crate::{Body, Outcome, Request, Response, Status};

/// Runs a unary handler on an encoded message: the mirror of a client's `unary`.
pub(crate) async fn unary<F, Fut, Req, Res>(
    handler: &F,
    request: Request<Body>,
) -> Result<Response<Body>, Status>
where
    F: Fn(Request<Req>) -> Fut,
    Fut: Future<Output = Result<Response<Res>, Status>>,
    Req: Message + Default,
    Res: Message,
{
    let (body, request) = request.take();
    let deadline = request.deadline();
    if deadline.is_some_and(|deadline| deadline <= now()) {
        return Err(expired().with_outcome(Outcome::NotProcessed));
    }
    let message = body
        .decode::<Req>()
        .map_err(|error| Status::from(error).with_outcome(Outcome::NotProcessed))?;
    let request = request.give(message);
    let future = catch_unwind(AssertUnwindSafe(|| handler(request))).map_err(|_| panicked())?;
    match guarded(future, deadline).await {
        Ok(response) => encode(response),
        // What a status that the handler passes on says of another call is not true of this one, which did run.
        Err(status) => Err(status.without_outcome()),
    }
}

/// Encodes a handler's response.
pub(crate) fn encode<Res: Message>(response: Response<Res>) -> Result<Response<Body>, Status> {
    let (message, mut response) = response.take();
    if let Some(error) = response.take_refused() {
        return Err(Status::internal(format!(
            "the response has metadata that is not valid: {error}"
        )));
    }
    Ok(response.give(Body::encode(&message)?))
}

/// What a call gets whose deadline passed.
pub(crate) fn expired() -> Status {
    Status::deadline_exceeded("the deadline passed before the method ended")
}

/// What a call gets whose handler panicked. The panic's text stays here: it is not the caller's business.
pub(crate) fn panicked() -> Status {
    Status::internal("the method panicked")
}

/// Runs a handler's future until it ends, panics or its deadline passes.
async fn guarded<T>(
    future: impl Future<Output = Result<T, Status>>,
    deadline: Option<Instant>,
) -> Result<T, Status> {
    let mut future = pin!(future);
    // Armed when the first poll does not end the call: most calls need no timer.
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        let polled = {
            let _inherit = Inherit::enter(deadline);
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)))
        };
        match polled {
            Ok(Poll::Ready(result)) => return Poll::Ready(result),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Err(panicked())),
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())))
            .as_mut()
            .poll(context)
            .map(|()| Err(expired()))
    })
    .await
}
