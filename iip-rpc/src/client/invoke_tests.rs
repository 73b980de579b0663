use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::unary;
use crate::deadline::{Inherit, now};
use crate::{
    Body, Code, Idempotency, MethodDescriptor, MethodKind, Request, Response, RpcService, Status,
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
