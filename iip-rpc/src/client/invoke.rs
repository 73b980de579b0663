use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use iip_core::session::PIECE;
use prost::Message;

use crate::deadline::{after, inherited};
use crate::stream::{Answered, Calling, Queue, QueueStream, Side, decode};
use crate::{
    Body, MethodDescriptor, Outcome, Reply, Request, Response, RpcService, Sender, Status,
    Streaming,
};

/// What may wait between a caller's sender and the task that sends its requests: some pieces, so that the two work
/// side by side.
const REQUESTS_AHEAD: usize = 4 * PIECE;

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
    let (message, request) = prepare(request, method)?;
    let body = encode(&message, method)?;
    drop(message);
    decode(service.call(request.give(body)).await?, method)
}

/// Makes a call that is answered with a stream: returns when the response begins. What generated client methods do.
///
/// # Errors
///
/// As for [`unary`]; the status of a call that fails after its first message comes from the stream.
///
/// # Cancel safety
///
/// Dropping the future gives the call up, as dropping the stream does later.
pub async fn server_streaming<S, Req, Res>(
    service: &S,
    method: &'static MethodDescriptor,
    request: Request<Req>,
) -> Result<Response<Streaming<Res>>, Status>
where
    S: RpcService,
    Req: Message,
    Res: Message + Default,
{
    let (message, request) = prepare(request, method)?;
    let body = encode(&message, method)?;
    drop(message);
    let (body, response) = service.call(request.give(body)).await?.take();
    let metadata = response.metadata().clone();
    let stream = Streaming::of_body(body.into_stream(), Side::Response)
        .with_metadata(metadata)
        .with_largest(method.responses());
    Ok(response.give(stream))
}

/// Begins a call whose requests are a stream: returns when they can be sent. What generated client methods do.
///
/// # Errors
///
/// Why the call cannot begin. Later failures come from the reply.
///
/// # Cancel safety
///
/// Dropping the future gives the call up, as dropping the sender unfinished or the reply does later.
pub async fn client_streaming<S, Req, Res>(
    service: &S,
    method: &'static MethodDescriptor,
    request: Request<()>,
) -> Result<(Sender<Req>, Reply<Res>), Status>
where
    S: RpcService,
    Req: Message,
    Res: Message + Default,
{
    let (sender, call, requests) = begin(service, method, request).await?;
    Ok((sender, Reply::new(call, requests, method)))
}

/// Begins a call with a stream in both directions: returns when requests can be sent. What generated client methods do.
///
/// # Errors
///
/// Why the call cannot begin. Later failures come from the stream.
///
/// # Cancel safety
///
/// Dropping the future gives the call up, as dropping the sender unfinished or the stream before its end does later.
pub async fn bidi_streaming<S, Req, Res>(
    service: &S,
    method: &'static MethodDescriptor,
    request: Request<()>,
) -> Result<(Sender<Req>, Streaming<Res>), Status>
where
    S: RpcService,
    Req: Message,
    Res: Message + Default,
{
    let (sender, call, requests) = begin(service, method, request).await?;
    let responses = Streaming::calling(call, requests).with_largest(method.responses());
    Ok((sender, responses))
}

/// Calls with a stream of requests, and polls the call until it has begun or failed.
async fn begin<S, Req>(
    service: &S,
    method: &'static MethodDescriptor,
    request: Request<()>,
) -> Result<(Sender<Req>, Calling, Answered), Status>
where
    S: RpcService,
    Req: Message,
{
    let ((), request) = prepare(request, method)?;
    let queue = Queue::new(REQUESTS_AHEAD);
    queue.set_compression(request.compression());
    let body = Body::from_stream(QueueStream::new(Arc::clone(&queue)));
    let service = service.clone();
    let mut call: Calling = Box::pin(async move { service.call(request.give(body)).await });
    let answer = poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => queue.poll_begun(context).map(|()| None),
    })
    .await;
    if let Some(answer) = answer {
        call = Box::pin(std::future::ready(Ok(answer?)));
    }
    let answered = Answered::new(Arc::clone(&queue));
    Ok((Sender::of_request(queue, method.requests()), call, answered))
}

fn encode(message: &impl Message, method: &MethodDescriptor) -> Result<Body, Status> {
    let body = Body::encode(message).map_err(not_sent)?;
    let len = || body.len().unwrap_or_default();
    method.requests().check(len).map_err(not_sent)?;
    Ok(body)
}

/// The message, and the request around it with its method and its deadline.
fn prepare<T>(
    request: Request<T>,
    method: &'static MethodDescriptor,
) -> Result<(T, Request<()>), Status> {
    let (message, mut request) = request.take();
    if let Some(error) = request.take_refused() {
        return Err(not_sent(Status::from(*error)));
    }
    request.set_method(method);
    // It may be one that came in another call.
    request.set_was_compressed(false);
    request.set_deadline(deadline(&request));
    Ok((message, request))
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
