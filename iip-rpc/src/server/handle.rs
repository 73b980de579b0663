use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use iip_core::session::PIECE;
use prost::Message;
use tokio::time::{Sleep, sleep_until};

use super::answers::Answers;
use super::failure::{expired, panicked};
use super::task::{Running, Task};
use crate::body::{Callee, Drive};
use crate::cancellation::Scope;
use crate::deadline::{Inherit, now};
use crate::stream::{Queue, Sender, Side, Streaming};
use crate::{Body, MethodDescriptor, Outcome, Request, Response, Status};

/// Runs a unary handler on an encoded message: the mirror of a client's `unary`.
pub(crate) async fn unary<F, Fut, Req, Res>(
    method: &MethodDescriptor,
    handler: &F,
    request: Request<Body>,
) -> Result<Response<Body>, Status>
where
    F: Fn(Request<Req>) -> Fut,
    Fut: Future<Output = Result<Response<Res>, Status>>,
    Req: Message + Default,
    Res: Message,
{
    let (body, mut request) = request.take();
    let call = Entered::enter(&mut request)?;
    let message = decode::<Req>(body, method)?;
    let request = request.give(message);
    let future = catch_unwind(AssertUnwindSafe(|| handler(request))).map_err(|_| panicked())?;
    let _over = Over(call.scope);
    let response = guarded(future, call.deadline, call.timed).await;
    encode(response.map_err(ran)?, method)
}

/// Ends the call that a handler was run for.
struct Over(Arc<Scope>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Runs a handler that answers with a stream.
pub(crate) async fn server_streaming<F, Fut, Req, Res>(
    method: &'static MethodDescriptor,
    handler: &Arc<F>,
    request: Request<Body>,
) -> Result<Response<Body>, Status>
where
    F: Fn(Request<Req>, Sender<Res>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Status>> + Send + 'static,
    Req: Message + Default + 'static,
    Res: Message + 'static,
{
    let (body, mut request) = request.take();
    let call = Entered::enter(&mut request)?;
    let request = request.give(decode::<Req>(body, method)?);
    let task = call.task();
    let out = Queue::new(PIECE);
    let (handler, sender) = (
        Arc::clone(handler),
        Sender::of_response(Arc::clone(&out), method.responses()),
    );
    task.start(async move { handler(request, sender).await.map_err(ran) });
    Answers::new(Running::new(task), out).begun().await
}

/// Runs a handler that takes a stream.
pub(crate) async fn client_streaming<F, Fut, Req, Res>(
    method: &'static MethodDescriptor,
    handler: &Arc<F>,
    request: Request<Body>,
) -> Result<Response<Body>, Status>
where
    F: Fn(Request<Streaming<Req>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Res>, Status>> + Send + 'static,
    Req: Message + Default + 'static,
    Res: Message + 'static,
{
    let (body, mut request) = request.take();
    let call = Entered::enter(&mut request)?;
    let task = call.task();
    let request = streamed::<Req, _>(body, request, &task)
        .map(|stream| stream.with_largest(method.requests()));
    let handler = Arc::clone(handler);
    task.start(async move { encode(handler(request).await.map_err(ran)?, method) });
    Running::new(task).await
}

/// Runs a handler that takes a stream and answers with one.
pub(crate) async fn bidi_streaming<F, Fut, Req, Res>(
    method: &'static MethodDescriptor,
    handler: &Arc<F>,
    request: Request<Body>,
) -> Result<Response<Body>, Status>
where
    F: Fn(Request<Streaming<Req>>, Sender<Res>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Status>> + Send + 'static,
    Req: Message + Default + 'static,
    Res: Message + 'static,
{
    let (body, mut request) = request.take();
    let call = Entered::enter(&mut request)?;
    let task = call.task();
    let request = streamed::<Req, _>(body, request, &task)
        .map(|stream| stream.with_largest(method.requests()));
    let out = Queue::new(PIECE);
    let (handler, sender) = (
        Arc::clone(handler),
        Sender::of_response(Arc::clone(&out), method.responses()),
    );
    task.start(async move { handler(request, sender).await.map_err(ran) });
    Answers::new(Running::new(task), out).begun().await
}

/// What a handler passes on from a call of its own says nothing of this call, which did run.
fn ran(status: Status) -> Status {
    status.without_outcome()
}

fn decode<Req: Message + Default>(body: Body, method: &MethodDescriptor) -> Result<Req, Status> {
    method
        .requests()
        .check(|| body.len().unwrap_or_default())
        .and_then(|()| body.decode())
        .map_err(|status| status.with_outcome(Outcome::NotProcessed))
}

/// The request with its stream, of which `task` is told to be the taker.
fn streamed<Req, T: Send + 'static>(
    body: Body,
    request: Request<()>,
    task: &Arc<Task<T>>,
) -> Request<Streaming<Req>> {
    let mut stream = body.into_stream();
    let drive: Arc<dyn Drive> = Arc::clone(task) as Arc<dyn Drive>;
    stream.as_mut().begun(Callee {
        drive: Some(Arc::downgrade(&drive)),
        max_message: None,
    });
    let metadata = request.metadata().clone();
    request.give(Streaming::of_body(stream, Side::Request).with_metadata(metadata))
}

/// A call that a handler is about to be run for.
struct Entered {
    scope: Arc<Scope>,
    deadline: Option<Instant>,
    timed: bool,
}

impl Entered {
    fn enter(request: &mut Request<()>) -> Result<Self, Status> {
        let deadline = request.deadline();
        if deadline.is_some_and(|deadline| deadline <= now()) {
            return Err(expired().with_outcome(Outcome::NotProcessed));
        }
        let kept = request.scope().filter(|scope| scope.claim()).cloned();
        let timed = kept.is_none();
        let scope = kept.unwrap_or_else(|| {
            // A request that a handler passes on belongs to the call it is in now.
            let peer = request.scope().and_then(|scope| scope.peer().cloned());
            let scope = Scope::new(peer);
            request.enter(&scope);
            scope
        });
        Ok(Self {
            scope,
            deadline,
            timed,
        })
    }

    fn task<T: Send + 'static>(self) -> Arc<Task<T>> {
        let scope = Arc::clone(&self.scope);
        Task::new(scope, self.deadline, self.timed)
    }
}

/// Encodes a handler's response.
pub(crate) fn encode<Res: Message>(
    response: Response<Res>,
    method: &MethodDescriptor,
) -> Result<Response<Body>, Status> {
    let (message, mut response) = response.take();
    if let Some(error) = response.take_refused() {
        return Err(Status::internal(format!(
            "the response has metadata that is not valid: {error}"
        )));
    }
    // It may be one that came in another call.
    response.set_was_compressed(false);
    let body = Body::encode(&message)?;
    let len = || body.len().unwrap_or_default();
    method.responses().check(len)?;
    Ok(response.give(body))
}

/// Runs a handler's future until it ends, panics or its deadline passes.
async fn guarded<T>(
    future: impl Future<Output = Result<T, Status>>,
    deadline: Option<Instant>,
    timed: bool,
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
        let Some(deadline) = deadline.filter(|_| timed) else {
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
