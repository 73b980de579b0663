//! A service for the tests of layers, and a way to call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::unary;
use crate::{
    Body, Idempotency, MethodDescriptor, MethodKind, Request, Response, RpcService, Status,
};

pub(super) static METHOD: MethodDescriptor =
    MethodDescriptor::new("/test.Echo/Say", MethodKind::Unary, Idempotency::Unknown);

/// Answers with what it was sent, after as many seconds as the metadata `sleep` says; counts the calls that run.
#[derive(Clone, Default)]
pub(super) struct Echo {
    pub(super) running: Arc<AtomicUsize>,
    pub(super) most: Arc<AtomicUsize>,
    pub(super) started: Arc<AtomicUsize>,
}

struct Running<'a>(&'a Echo);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RpcService for Echo {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        self.started.fetch_add(1, Ordering::Relaxed);
        let now = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let _running = Running(self);
        let metadata = request.metadata();
        if let Some(seconds) = metadata.get("sleep") {
            tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
        }
        match metadata.get("end") {
            Some("panic") => panic!("on request"),
            Some("fail") => return Err(Status::not_found("nothing here")),
            _ => {}
        }
        let metadata = metadata.clone();
        let mut response = Response::new(request.into_inner());
        *response.metadata_mut() = metadata;
        Ok(response)
    }
}

pub(super) fn request() -> Request<String> {
    Request::new("hello".to_owned())
}

pub(super) async fn call(
    service: &impl RpcService,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    unary(service, &METHOD, request).await
}

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
