use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iip_core::server::{
    Failure, FrameReceiver, FrameSender, Incoming, Reply, Route, Runner, Terms,
};
use iip_core::session::{Chunk, Delivery, Format, Payload};

use super::dispatch::{Messages, Method};
use super::{failure, terms};
use crate::body::{BodyStream, Kind};
use crate::cancellation::Scope;
use crate::compression::Packing;
use crate::deadline::{now, on_arrival};
use crate::envelope::{self, Direction, Head, Trailer};
use crate::stream::{Frames, Inbound};
use crate::{Body, MethodKind, Outcome, Request, Response, Status, plain};

/// Chunks that a response sends in one turn before it lets others run.
const TURN: usize = 32;

/// A streaming method behind a connection: its requests and responses go frame by frame.
pub(crate) struct StreamRoute {
    pub(crate) method: Arc<dyn Method>,
    pub(crate) messages: Messages,
}

impl Route for StreamRoute {
    fn format(&self) -> Format {
        Format::Enveloped
    }

    fn delivery(&self) -> Delivery {
        Delivery::Frames
    }

    fn max_message(&self) -> Option<usize> {
        self.method.descriptor().request_limit()
    }

    fn runner(&self) -> Pin<Box<dyn Runner>> {
        Box::pin(StreamRunner {
            method: Arc::clone(&self.method),
            messages: self.messages,
            call: None,
            deadline: None,
        })
    }

    fn terms(&self, records: &[u8], _: Option<Duration>) -> Terms {
        terms::of(records, None)
    }

    fn failure(&self, failure: &Failure, enveloped: bool) -> Payload {
        failure::of_framework(failure, enveloped)
    }
}

struct StreamRunner {
    method: Arc<dyn Method>,
    messages: Messages,
    call: Option<Pin<Box<dyn Future<Output = Reply> + Send>>>,
    deadline: Option<Instant>,
}

impl Runner for StreamRunner {
    fn begin(mut self: Pin<&mut Self>, incoming: Incoming) {
        self.deadline = None;
        if !incoming.is_enveloped() {
            self.call = Some(Box::pin(std::future::ready(not_for_plain_clients(
                &*self.method,
            ))));
            return;
        }
        let mut request = Request::new(());
        request.set_method(self.method.descriptor());
        request.enter(&Scope::watched(Arc::clone(incoming.peer())));
        let arrived = incoming.arrived();
        let compress = self.messages.answer(&incoming);
        let (frames, response) = incoming.into_streams();
        let largest = self
            .method
            .descriptor()
            .requests()
            .within(self.messages.max);
        let mut inbound = Inbound::new(Source(frames), Direction::Request, largest);
        // HEAD is in the first frame, which is there.
        let mut context = Context::from_waker(Waker::noop());
        let head = match inbound.poll_head(&mut context) {
            Poll::Ready(Ok(head)) => head,
            Poll::Ready(Err(status)) => {
                let reply = failed(&not_processed(status));
                self.call = Some(Box::pin(std::future::ready(reply)));
                return;
            }
            Poll::Pending => Head::default(),
        };
        self.deadline = on_arrival(arrived, head.timeout_us, None);
        if self.deadline.is_some_and(|deadline| deadline <= now()) {
            let reply = failed(&not_processed(failure::expired()));
            self.call = Some(Box::pin(std::future::ready(reply)));
            return;
        }
        request.set_deadline(self.deadline);
        request.set_metadata(head.metadata);
        let method = Arc::clone(&self.method);
        self.call = Some(Box::pin(serve(
            method, inbound, response, compress, request,
        )));
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Future for StreamRunner {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        let reply = ready!(call.as_mut().poll(context));
        self.call = None;
        Poll::Ready(reply)
    }
}

/// A plain client cannot tell messages apart.
fn not_for_plain_clients(method: &dyn Method) -> Reply {
    let status = Status::unimplemented(format!(
        "{} streams messages, which is not supported here: it needs a client that says hello",
        method.descriptor().path()
    ));
    Reply::from(Payload::from(plain::failure(&status)))
}

fn not_processed(status: Status) -> Status {
    status.with_outcome(Outcome::NotProcessed)
}

/// The last frame of a call that failed.
fn failed(status: &Status) -> Reply {
    let not_processed = status.outcome() == Some(Outcome::NotProcessed);
    Reply::from(failure::failed(status, not_processed, true))
}

/// Calls the method with what comes, and sends what it answers.
async fn serve(
    method: Arc<dyn Method>,
    mut inbound: Inbound<Source>,
    mut response: FrameSender,
    compress: Option<Packing>,
    mut request: Request<()>,
) -> Reply {
    let body = match method.descriptor().kind() {
        MethodKind::ClientStreaming | MethodKind::Bidirectional => Body::from_stream(inbound),
        _ => match poll_fn(|context| inbound.poll_single(context)).await {
            Ok(message) => {
                request.set_was_compressed(message.was_compressed());
                Body::from_message(message)
            }
            Err(status) => return failed(&not_processed(status)),
        },
    };
    match method.call(request.give(body)).await {
        Ok(answer) => answered(answer, compress, &mut response).await,
        Err(status) => failed(&status),
    }
}

async fn answered(
    answer: Response<Body>,
    compress: Option<Packing>,
    response: &mut FrameSender,
) -> Reply {
    let (body, answer) = answer.take();
    let head = |encoding| Head::to_record(None, answer.metadata(), encoding);
    let mut stream = match body.into_kind() {
        Kind::Message(message) => {
            let (message, encoding) = envelope::pack(message, compress, answer.compression());
            let trailer = Trailer::ok_record(answer.trailers());
            return Reply::from(envelope::write(head(encoding), message, trailer));
        }
        Kind::Stream(stream) => stream,
    };
    let head = head(compress.map(|packing| packing.encoding));
    let mut chunks = VecDeque::new();
    if !head.is_empty() {
        chunks.push_back(Chunk::new(&[], head).costing(0));
    }
    poll_fn(|context| poll_answers(stream.as_mut(), &mut chunks, compress, response, context)).await
}

/// Sends the messages of a stream until nothing is there or nothing may be sent.
fn poll_answers(
    mut stream: Pin<&mut dyn BodyStream>,
    chunks: &mut VecDeque<Chunk>,
    compress: Option<Packing>,
    response: &mut FrameSender,
    context: &mut Context<'_>,
) -> Poll<Reply> {
    for _ in 0..TURN {
        if !chunks.is_empty() {
            match response.poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                // Nobody waits any more: the answer was given, or the connection is gone.
                Poll::Ready(Err(_)) => return Poll::Ready(Reply::sent()),
                Poll::Pending => {
                    // The handler may have other things to do than to send.
                    stream.poll_progress(context);
                    return Poll::Pending;
                }
            }
            if let Some(chunk) = chunks.pop_front() {
                let last = chunks.is_empty() && stream.is_over();
                if response.push(chunk, last).is_err() || last {
                    return Poll::Ready(Reply::sent());
                }
            }
            continue;
        }
        match ready!(stream.as_mut().poll_records(context)) {
            Some(Ok(batch)) => envelope::cut(batch, compress, chunks),
            Some(Err(status)) => return Poll::Ready(failed(&status)),
            None => {
                let trailers = Trailer::ok_record(&stream.as_mut().trailers());
                return Poll::Ready(Reply::from(Payload::from(trailers)));
            }
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}

/// The frames of a request.
struct Source(FrameReceiver);

impl Frames for Source {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>> {
        self.0.poll_frame(context).map(|frame| {
            frame.map_err(|_| {
                Status::cancelled("the rest of the request does not come: its call is over")
            })
        })
    }

    fn consumed(&self, cost: usize) {
        self.0.consumed(cost);
    }
}
