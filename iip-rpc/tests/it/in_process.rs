//! A server as the client's service: no socket.

use std::time::Duration;

use iip_rpc::codegen::{Idempotency, MethodDescriptor, MethodKind, NamedService, unary};
use iip_rpc::{Code, Outcome, Request, RpcService, Status};

use crate::greeter::{GreeterClient, GreeterServer, HelloReply, MyGreeter, hello};

fn client() -> GreeterClient<GreeterServer> {
    GreeterClient::new(GreeterServer::new(MyGreeter))
}

#[test]
fn a_call_needs_no_runtime() {
    let mut call = std::pin::pin!(async { client().say_hello(hello("you")).await });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(reply) = call.as_mut().poll(&mut context) else {
        panic!("pending");
    };
    assert_eq!(reply.unwrap().into_inner().message, "Hello you!");
}

#[tokio::test]
async fn a_call_can_be_spawned() {
    let client = client();
    let call = tokio::spawn(async move { client.say_hello(hello("yield")).await });
    assert_eq!(call.await.unwrap().unwrap().into_inner().message, "yielded");
}

#[tokio::test]
async fn a_status_comes_back() {
    let status = client().say_hello(hello("nobody")).await.unwrap_err();
    assert_eq!(status.to_string(), "NOT_FOUND: nobody is here");
    assert_eq!(status.outcome(), None);
}

#[tokio::test]
async fn metadata_travels_both_ways() {
    let request = Request::new(hello("metadata")).with_metadata("k", "v");
    let reply = client().say_hello(request).await.unwrap();
    assert_eq!(reply.get_ref().message, "v");
    assert_eq!(reply.metadata().get("head"), Some("v"));
    assert_eq!(reply.trailers().get("tail"), Some("v"));
}

#[tokio::test]
async fn metadata_that_is_not_valid_fails_before_the_call() {
    let request = Request::new(hello("you")).with_metadata("k", "two\nlines");
    let status = client().say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
}

#[tokio::test]
async fn a_panic_is_internal() {
    for name in ["panic", "panic later"] {
        let status = client().say_hello(hello(name)).await.unwrap_err();
        assert_eq!(status.to_string(), "INTERNAL: the method panicked");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_handler() {
    let request = Request::new(hello("never")).with_timeout(Duration::from_millis(200));
    let status = client().say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), None);
}

#[tokio::test(start_paused = true)]
async fn an_expired_call_is_not_run() {
    let request = Request::new(hello("you")).with_timeout(Duration::ZERO);
    let status = client().say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
}

static NO_SUCH: MethodDescriptor = MethodDescriptor::new(
    "/helloworld.Greeter/NoSuch",
    MethodKind::Unary,
    Idempotency::Unknown,
);

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = GreeterServer::new(MyGreeter);
    let status = unary::<_, _, HelloReply>(&server, &NO_SUCH, Request::new(hello("x")))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert!(status.message().contains("/helloworld.Greeter/NoSuch"));
}

#[tokio::test]
async fn a_message_that_does_not_decode_is_the_callers_fault() {
    let server = GreeterServer::new(MyGreeter);
    let request = Request::new(iip_rpc::Body::from(iip_rpc::bytes::Bytes::from_static(
        b"\xff",
    )));
    let status = RpcService::call(&server, request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let wrong: Result<_, Status> = unary::<_, _, HelloReply>(
        &server,
        &crate::greeter::greeter_methods::SAY_HELLO,
        Request::new(7u32),
    )
    .await;
    assert_eq!(wrong.unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn a_service_knows_its_name_and_methods() {
    let server = GreeterServer::new(MyGreeter);
    assert_eq!(GreeterServer::NAME, server.methods().name());
    let paths: Vec<_> = server.methods().descriptors().map(|d| d.path()).collect();
    assert_eq!(paths, ["/helloworld.Greeter/SayHello"]);
    assert!(format!("{server:?}").contains("SayHello"));
}
