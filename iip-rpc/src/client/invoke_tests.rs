use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::body::{Callee, Kind};
use crate::client::{bidi_streaming, client_streaming, unary};
use crate::deadline::{Inherit, now};
use crate::stream::Side;
use crate::{
    Body, Code, Idempotency, MethodDescriptor, MethodKind, Reply, Request, Response, RpcService,
    Sender, Status, Streaming,
};

static METHOD: MethodDescriptor =
    MethodDescriptor::new("/s.S/M", MethodKind::Unary, Idempotency::Unknown);

/// Answers with what it was sent, and keeps the last deadline.
#[derive(Clone, Default)]
struct Mirror {
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl RpcService for Mirror {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        assert_eq!(request.method().map(MethodDescriptor::path), Some("/s.S/M"));
        *self.deadline.lock().unwrap() = request.deadline();
        Ok(Response::new(request.into_inner()))
    }
}

async fn deadline_of(request: Request<String>) -> Option<Instant> {
    let mirror = Mirror::default();
    let reply: Response<String> = unary(&mirror, &METHOD, request).await.unwrap();
    assert_eq!(reply.into_inner(), "m");
    *mirror.deadline.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_earliest_deadline_counts() {
    let request = || Request::new("m".to_owned());
    assert_eq!(deadline_of(request()).await, None);
    let second = Duration::from_secs(1);
    let at = now() + second;
    assert_eq!(deadline_of(request().with_timeout(second)).await, Some(at));
    assert_eq!(
        deadline_of(request().with_timeout(Duration::MAX)).await,
        None
    );
    let mut passed_on = request().with_timeout(2 * second);
    passed_on.set_deadline(Some(at));
    assert_eq!(deadline_of(passed_on).await, Some(at));
    let _handler = Inherit::enter(Some(at));
    let inherited = now() + Duration::from_millis(989);
    assert_eq!(deadline_of(request()).await, Some(inherited));
    assert_eq!(
        deadline_of(request().with_timeout(second / 2)).await,
        Some(now() + second / 2)
    );
}

#[tokio::test]
async fn a_response_that_does_not_decode_is_internal() {
    let status = unary::<_, _, u32>(&Mirror::default(), &METHOD, Request::new("text".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.outcome(), None);
    assert_eq!(status.phase(), Some("decode"));
}

static CHAT: MethodDescriptor =
    MethodDescriptor::new("/s.S/Chat", MethodKind::Bidirectional, Idempotency::Unknown);

/// Keeps every request for ever, as a task does that has not yet learned that its call is over, and answers calls of
/// unary responses with "early".
#[derive(Clone, Default)]
struct Keeper {
    requests: Arc<Mutex<Vec<Body>>>,
    answers: bool,
}

impl RpcService for Keeper {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let mut stream = request.into_inner().into_stream();
        stream.as_mut().begun(Callee::default());
        self.requests
            .lock()
            .unwrap()
            .push(Body::from(Kind::Stream(stream)));
        if self.answers {
            return Ok(Response::new(Body::encode(&"early".to_owned())?));
        }
        pending().await
    }
}

fn is_over(sender: &Sender<String>) {
    assert!(sender.is_closed());
    let refused = sender.try_send("late".to_owned()).unwrap_err();
    assert_eq!(refused.into_inner(), "late");
}

#[tokio::test]
async fn nothing_can_be_sent_once_the_responses_are_dropped() {
    let keeper = Keeper::default();
    let (sender, responses): (Sender<String>, Streaming<String>) =
        bidi_streaming(&keeper, &CHAT, Request::new(()))
            .await
            .unwrap();
    sender.try_send("in time".to_owned()).unwrap();
    drop(responses);
    is_over(&sender);
    // What was not taken yet must not look like a request that ended here.
    sender.finish().await.unwrap();
    let left = keeper.requests.lock().unwrap().pop().unwrap();
    let mut left = Streaming::<String>::of_body(left.into_stream(), Side::Request);
    assert_eq!(left.message().await.unwrap_err().code(), Code::Cancelled);
}

#[tokio::test]
async fn nothing_can_be_sent_once_the_reply_is_there_or_dropped() {
    let keeper = Keeper::default();
    let (sender, reply): (Sender<String>, Reply<String>) =
        client_streaming(&keeper, &CHAT, Request::new(()))
            .await
            .unwrap();
    drop(reply);
    is_over(&sender);

    let keeper = Keeper {
        answers: true,
        ..keeper
    };
    let (sender, mut reply): (Sender<String>, Reply<String>) =
        client_streaming(&keeper, &CHAT, Request::new(()))
            .await
            .unwrap();
    sender.try_send("in time".to_owned()).unwrap();
    assert_eq!((&mut reply).await.unwrap().into_inner(), "early");
    is_over(&sender);
}
