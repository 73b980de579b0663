use std::sync::Arc;

use prost::Message;

use crate::deadline::{after, inherited};
use crate::{Body, MethodDescriptor, Outcome, Request, Response, RpcService, Status};

/// Makes a unary call: encodes the message, calls, decodes the answer. What generated client methods do.
///
/// # Errors
///
/// The status the method failed with, or why it could not be called; [`Status::outcome`] tells whether it may have
/// run.
///
/// # Cancel safety
///
/// Dropping the future gives the call up: its result is lost, and the method may have run or not.
pub async fn unary<S, Req, Res>(
    service: &S,
    method: &'static MethodDescriptor,
    request: Request<Req>,
) -> Result<Response<Res>, Status>
where
    S: RpcService,
    Req: Message,
    Res: Message + Default,
{
    let (message, mut request) = request.take();
    if let Some(error) = request.take_refused() {
        return Err(not_sent(Status::from(*error)));
    }
    request.set_method(method);
    request.set_deadline(deadline(&request));
    let body = Body::encode(&message).map_err(not_sent)?;
    drop(message);
    method
        .check_request(body.len().unwrap_or(0))
        .map_err(not_sent)?;
    let response = service.call(request.give(body)).await?;
    let (body, response) = response.take();
    let message = body.into_message()?;
    method
        .check_response(message.len())
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

/// The earliest of: the request's own timeout from now, a deadline it already had (it is passed on by a proxy), and
/// what the handler being polled leaves.
fn deadline<T>(request: &Request<T>) -> Option<std::time::Instant> {
    let own = request.own_timeout().and_then(after);
    [own, request.deadline(), inherited()]
        .into_iter()
        .flatten()
        .min()
}

fn not_sent(status: Status) -> Status {
    status.with_phase("encode").with_outcome(Outcome::NotSent)
}
