use std::sync::atomic::Ordering;

use super::fixture_tests::{Echo, call, request};
use super::{Intercept, Interceptor, Next, interceptor, layered};
use crate::{Body, Code, Request, Response, Status};

#[tokio::test]
async fn an_interceptor_sees_request_and_response() {
    let layer = interceptor(|mut request, next| async move {
        request.metadata_mut().insert("k", "from outside")?;
        let mut response = next.run(request).await?;
        assert_eq!(response.metadata().get("k"), Some("from outside"));
        response.trailers_mut().insert("t", "seen")?;
        Ok(response)
    });
    let reply = call(&layered(Echo::default(), layer), request()).await;
    assert_eq!(reply.unwrap().trailers().get("t"), Some("seen"));
}

#[tokio::test]
async fn an_interceptor_can_refuse_and_can_try_again() {
    let echo = Echo::default();
    let refuse = interceptor(|_, _| async { Err(Status::permission_denied("no")) });
    let status = call(&layered(echo.clone(), refuse), request()).await;
    assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(echo.started.load(Ordering::Relaxed), 0);

    let again = interceptor(|request: Request<Body>, next: Next| async move {
        let message = request.get_ref().try_clone();
        let method = request.method();
        match (next.clone().run(request).await, message) {
            (Err(_), Some(message)) => {
                let mut request = Request::new(message);
                if let Some(method) = method {
                    request.set_method(method);
                }
                next.run(request).await
            }
            (result, _) => result,
        }
    });
    let service = layered(echo.clone(), again);
    let reply = call(&service, request().with_metadata("end", "fail")).await;
    assert!(reply.is_ok());
    assert_eq!(echo.started.load(Ordering::Relaxed), 2);
}

struct Stamp(&'static str);

impl Intercept for Stamp {
    async fn call(&self, mut request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
        request.metadata_mut().append("order", self.0)?;
        next.run(request).await
    }
}

#[tokio::test]
async fn the_outer_layer_comes_first() {
    let inner = layered(Echo::default(), Interceptor::new(Stamp("inner")));
    let service = layered(inner, Interceptor::new(Stamp("outer")));
    let reply = call(&service, request()).await.unwrap();
    let order: Vec<_> = reply
        .metadata()
        .get_all("order")
        .filter_map(|value| value.as_str())
        .collect();
    assert_eq!(order, ["outer", "inner"]);
}
