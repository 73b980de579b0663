use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt};

use super::fixture_tests::{Echo, call, request, seconds};
use super::{Layered, Service, TowerService, layered};
use crate::{Body, Code, Outcome, Request, Response, RpcService, Status};

#[tokio::test(start_paused = true)]
async fn towers_timeout_is_deadline_exceeded() {
    let service = layered(Echo::default(), TimeoutLayer::new(seconds(2)));
    let reply = call(&service, request().with_metadata("sleep", "1")).await;
    assert_eq!(reply.unwrap().into_inner(), "hello");
    let status = call(&service, request().with_metadata("sleep", "3")).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
}

#[tokio::test(start_paused = true)]
async fn readiness_is_waited_for_until_the_deadline() {
    let echo = Echo::default();
    let service = layered(echo.clone(), ConcurrencyLimitLayer::new(1));
    let sleeping = |count: &str| request().with_metadata("sleep", count.to_owned());
    let (first, second, third) = tokio::join!(
        call(&service, sleeping("2")),
        call(&service, sleeping("2")),
        call(&service, sleeping("2").with_timeout(seconds(3)))
    );
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(echo.most.load(Ordering::Relaxed), 1);
    let status = third.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert_eq!(echo.started.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn towers_load_shed_is_unavailable_and_not_processed() {
    let layers = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .into_inner();
    let service = layered(Echo::default(), layers);
    let (first, second) = tokio::join!(
        call(&service, request().with_metadata("sleep", "1")),
        call(&service, request())
    );
    assert!(first.is_ok());
    let status = second.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert!(call(&service, request()).await.is_ok());
}

#[tokio::test]
async fn a_status_passes_through_towers_layers() {
    let layers = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(TimeoutLayer::new(seconds(100)))
        .buffer(10)
        .layer(TimeoutLayer::new(seconds(100)));
    let service = Layered::new(layers.service(TowerService::new(Echo::default())));
    let status = call(&service, request().with_metadata("end", "fail")).await;
    assert_eq!(status.unwrap_err().to_string(), "NOT_FOUND: nothing here");
}

#[tokio::test]
async fn a_service_need_not_be_sync() {
    let boxed: BoxCloneService<Request<Body>, Response<Body>, Status> =
        TowerService::new(Echo::default())
            .map_request(|mut request: Request<Body>| {
                let _ = request.metadata_mut().insert("seen", "yes");
                request
            })
            .boxed_clone();
    let service = Layered::new(boxed);
    let reply = call(&service.clone(), request()).await.unwrap();
    assert_eq!(reply.metadata().get("seen"), Some("yes"));
    fn sendable<T: Send>(_: &T) {}
    sendable(&service.call(Request::new(Body::from(bytes::Bytes::new()))));
}

/// Ready at the second time of asking; cannot be called before.
#[derive(Default)]
struct Strict {
    asked: usize,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = std::future::Ready<Result<Response<Body>, std::io::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.asked += 1;
        if self.asked == 2 {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert_eq!(self.asked, 2, "called without being ready");
        std::future::ready(Ok(Response::new(request.into_inner())))
    }
}

#[tokio::test]
async fn the_instance_that_is_ready_is_the_one_called() {
    let service = Layered::new(Strict::default());
    for _ in 0..3 {
        assert!(call(&service, request()).await.is_ok());
    }
}
