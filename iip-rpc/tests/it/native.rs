//! Calls between two peers of this project, over a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::codegen::{Idempotency, MethodDescriptor, MethodKind, unary};
use iip_rpc::{Channel, Code, Outcome, Request, Response, Server, Status};

use crate::greeter::{
    Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest, MyGreeter, hello,
};

/// Serves `greeter` on a free port until the test ends; returns the address.
pub(crate) async fn serve(greeter: impl Greeter) -> String {
    let server = Server::builder()
        .add_service(GreeterServer::new(greeter))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    address
}

/// Serves `greeter` inside this process, where time may be virtual: nothing waits for the kernel.
pub(crate) async fn serve_in_memory(greeter: impl Greeter) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let server = Server::builder()
        .add_service(GreeterServer::new(greeter))
        .bind(format!("memory://native-{name}"))
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    address
}

async fn client() -> GreeterClient {
    GreeterClient::connect(serve(MyGreeter).await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_call_and_its_reply() {
    let client = client().await;
    let reply = client.say_hello(hello("you")).await.unwrap();
    assert_eq!(reply.get_ref().message, "Hello you!");
    let reply = client.say_hello(hello("yield")).await.unwrap();
    assert_eq!(reply.into_inner().message, "yielded");
}

#[tokio::test]
async fn a_status_comes_back_with_its_endpoint() {
    let status = client().await.say_hello(hello("nobody")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "nobody is here");
    assert_eq!(status.outcome(), None);
    assert!(status.endpoint().unwrap().starts_with("iip://127.0.0.1:"));
}

#[tokio::test]
async fn metadata_travels_both_ways() {
    let request = Request::new(hello("metadata")).with_metadata("k", "v");
    let reply = client().await.say_hello(request).await.unwrap();
    assert_eq!(reply.get_ref().message, "v");
    assert_eq!(reply.metadata().get("head"), Some("v"));
    assert_eq!(reply.trailers().get("tail"), Some("v"));
}

#[tokio::test]
async fn a_panic_is_internal_and_costs_no_other_call() {
    let client = client().await;
    for name in ["panic", "panic later"] {
        let status = client.say_hello(hello(name)).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("on request"));
        assert!(client.say_hello(hello("you")).await.is_ok());
    }
}

#[tokio::test]
async fn large_messages_travel_in_parts() {
    let client = client().await;
    for len in [30_000, 32_768, 100_000, 3_000_000] {
        let name = "x".repeat(len);
        let reply = client.say_hello(hello(name.as_str())).await.unwrap();
        assert_eq!(reply.get_ref().message, format!("Hello {name}!"));
    }
}

#[tokio::test]
async fn many_calls_of_one_client_at_a_time() {
    let client = client().await;
    let calls: Vec<_> = (0..1000)
        .map(|index| {
            let client = client.clone();
            tokio::spawn(async move {
                let reply = client.say_hello(hello(index.to_string())).await.unwrap();
                assert_eq!(reply.get_ref().message, format!("Hello {index}!"));
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

/// Tells the deadline its calls have.
struct Clock;

impl Greeter for Clock {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let now = tokio::time::Instant::now().into_std();
        let left = request.deadline().map(|deadline| deadline - now);
        assert!(request.peer().is_some());
        assert!(request.method().is_some());
        Ok(HelloReply {
            message: format!("{left:?}"),
        }
        .into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_travels() {
    let address = serve_in_memory(Clock).await;
    let client = GreeterClient::connect(&address).await.unwrap();
    let left = async |request: Request<HelloRequest>| {
        client
            .say_hello(request)
            .await
            .unwrap()
            .into_inner()
            .message
    };
    assert_eq!(left(Request::new(hello(""))).await, "Some(10s)");
    let request = Request::new(hello("")).with_timeout(Duration::from_secs(100));
    assert_eq!(left(request).await, "Some(100s)");
    let channel = Channel::builder(&address)
        .timeout(Duration::from_secs(50))
        .connect()
        .await
        .unwrap();
    let reply = GreeterClient::new(channel).say_hello(hello("")).await;
    assert_eq!(reply.unwrap().get_ref().message, "Some(50s)");
    let channel = Channel::builder(&address).timeout(None).connect().await;
    let reply = GreeterClient::new(channel.unwrap())
        .say_hello(hello(""))
        .await;
    assert_eq!(reply.unwrap().get_ref().message, "None");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call() {
    let client = GreeterClient::connect(serve_in_memory(MyGreeter).await)
        .await
        .unwrap();
    let request = Request::new(hello("never")).with_timeout(Duration::from_millis(20));
    let status = client.say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(client.say_hello(hello("you")).await.is_ok());
}

#[tokio::test]
async fn an_expired_call_is_not_sent() {
    let client = client().await;
    let request = Request::new(hello("panic")).with_timeout(Duration::ZERO);
    let status = client.say_hello(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
}

/// Counts the calls that run at a time.
#[derive(Default)]
struct Passing {
    running: AtomicUsize,
}

/// Calls another greeter, as a gateway does.
struct Gateway {
    next: GreeterClient,
}

impl Greeter for Gateway {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        self.next.say_hello(hello("")).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_inherited() {
    let next = GreeterClient::connect(serve_in_memory(Clock).await)
        .await
        .unwrap();
    let gateway = GreeterClient::connect(serve_in_memory(Gateway { next }).await)
        .await
        .unwrap();
    let request = Request::new(hello("")).with_timeout(Duration::from_secs(5));
    let reply = gateway.say_hello(request).await.unwrap();
    // 5 s less 1 ms and 1 %.
    assert_eq!(reply.get_ref().message, "Some(4.949s)");
    let request = Request::new(hello("")).with_timeout(Duration::from_secs(200));
    let reply = gateway.say_hello(request).await.unwrap();
    assert_eq!(reply.get_ref().message, "Some(197.999s)");
}

impl Greeter for Passing {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let at_once = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::task::yield_now().await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        Ok(HelloReply {
            message: at_once.to_string(),
        }
        .into())
    }
}

#[tokio::test]
async fn pending_handlers_of_one_connection_run_beside_each_other() {
    let client = GreeterClient::connect(serve(Passing::default()).await)
        .await
        .unwrap();
    let client = Arc::new(client);
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.say_hello(hello("")).await })
        })
        .collect();
    let mut most = 0;
    for call in calls {
        let reply = call.await.unwrap().unwrap();
        most = most.max(reply.get_ref().message.parse::<usize>().unwrap());
    }
    assert!(most > 1);
}

static NO_SUCH: MethodDescriptor = MethodDescriptor::new(
    "/helloworld.Greeter/NoSuch",
    MethodKind::Unary,
    Idempotency::Unknown,
);

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let channel = Channel::connect(serve(MyGreeter).await).await.unwrap();
    let status = unary::<_, _, HelloReply>(&channel, &NO_SUCH, Request::new(hello("x")))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_not_sent() {
    let server = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .max_message(1000)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let client = GreeterClient::connect(address).await.unwrap();
    assert!(client.say_hello(hello("x".repeat(997))).await.is_ok());
    let status = client.say_hello(hello("x".repeat(998))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert!(status.message().contains("max_message"));
    assert!(client.say_hello(hello("you")).await.is_ok());
}

#[tokio::test]
async fn a_response_over_the_clients_limit_fails_its_call() {
    let channel = Channel::builder(serve(MyGreeter).await)
        .max_message(1000)
        .connect()
        .await
        .unwrap();
    let client = GreeterClient::new(channel);
    for len in [995, 50_000, 500_000] {
        let status = client.say_hello(hello("x".repeat(len))).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{len}");
        assert!(status.message().contains("max_message"), "{status}");
        assert!(client.say_hello(hello("you")).await.is_ok());
    }
}
