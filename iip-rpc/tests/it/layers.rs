//! Layers on both sides of a connection: tower's, unmodified, and the crate's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::codegen::{Idempotency, MethodDescriptor, MethodKind, Methods, NamedService, unary};
use iip_rpc::layer::{CatchPanic, LoadShed, Timeout, Trace, TraceContext, interceptor};
use iip_rpc::server::ServerBuilder;
use iip_rpc::{Channel, Code, Outcome, Request, Response, Server, Status};
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;

use crate::greeter::{
    Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest, MyGreeter, hello,
};

const SECOND: Duration = Duration::from_secs(1);

/// Serves inside this process, where time may be virtual; returns the address.
async fn serve(builder: ServerBuilder) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let server = builder.bind(format!("memory://layers-{name}")).await;
    let server = server.unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    address
}

async fn client(builder: ServerBuilder) -> GreeterClient {
    GreeterClient::connect(serve(builder).await).await.unwrap()
}

fn greeter() -> ServerBuilder {
    Server::builder().add_service(GreeterServer::new(MyGreeter))
}

/// Takes a second for each call; counts those that run.
#[derive(Clone, Default)]
struct Slow {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    started: Arc<AtomicUsize>,
}

impl Greeter for Slow {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        self.started.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        tokio::time::sleep(SECOND).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        Ok(HelloReply::default().into())
    }
}

fn slow(slow: &Slow) -> ServerBuilder {
    Server::builder().add_service(GreeterServer::new(slow.clone()))
}

#[tokio::test(start_paused = true)]
async fn towers_timeout_on_either_side() {
    let on_server = greeter().layer(TimeoutLayer::new(SECOND));
    let status = client(on_server).await.say_hello(hello("never")).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), None);

    let channel = Channel::builder(serve(greeter()).await)
        .layer(TimeoutLayer::new(SECOND))
        .connect_lazy()
        .unwrap();
    let client = GreeterClient::new(channel);
    let status = client.say_hello(hello("never")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
    assert!(status.endpoint().is_some());
    assert!(client.say_hello(hello("you")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn towers_concurrency_limit_on_either_side() {
    for on_server in [true, false] {
        let greeter = Slow::default();
        let mut server = slow(&greeter);
        if on_server {
            server = server.layer(ConcurrencyLimitLayer::new(2));
        }
        let mut channel = Channel::builder(serve(server).await);
        if !on_server {
            channel = channel.layer(ConcurrencyLimitLayer::new(2));
        }
        let client = GreeterClient::new(channel.connect().await.unwrap());
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.say_hello(hello("")).await })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap().is_ok());
        }
        assert_eq!(greeter.most.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn towers_load_shed_on_either_side() {
    for on_server in [true, false] {
        let greeter = Slow::default();
        let mut server = slow(&greeter);
        if on_server {
            server = server
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(1));
        }
        let mut channel = Channel::builder(serve(server).await);
        if !on_server {
            let layers = tower::ServiceBuilder::new()
                .load_shed()
                .concurrency_limit(1);
            channel = channel.layer(layers.into_inner());
        }
        let client = GreeterClient::new(channel.connect().await.unwrap());
        let (first, second) =
            tokio::join!(client.say_hello(hello("")), client.say_hello(hello("")));
        assert!(first.is_ok());
        let status = second.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{on_server}");
        assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
        assert_eq!(greeter.started.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn interceptors_on_both_sides_see_request_and_response() {
    let server = greeter().layer(interceptor(|mut request, next| async move {
        assert_eq!(request.method().unwrap().name(), "SayHello");
        assert!(request.peer().is_some());
        let who = request.metadata().get("who").map(str::to_owned);
        if who.as_deref() != Some("me") {
            return Err(Status::unauthenticated("who is it?"));
        }
        request
            .metadata_mut()
            .insert("k", "from the server's layer")?;
        let mut response = next.run(request).await?;
        response.metadata_mut().insert("layer", "server")?;
        Ok(response)
    }));
    let address = serve(server).await;
    let channel = Channel::builder(&address).layer(interceptor(|mut request, next| async move {
        request.metadata_mut().insert("who", "me")?;
        let mut response = next.run(request).await?;
        assert_eq!(response.metadata().get("layer"), Some("server"));
        response.trailers_mut().insert("layer", "client")?;
        Ok(response)
    }));
    let client = GreeterClient::new(channel.connect().await.unwrap());
    let reply = client.say_hello(hello("metadata")).await.unwrap();
    assert_eq!(reply.get_ref().message, "from the server's layer");
    assert_eq!(reply.trailers().get("layer"), Some("client"));
    let bare = GreeterClient::connect(&address).await.unwrap();
    let status = bare.say_hello(hello("you")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_server_counts_all_its_services() {
    let one = Slow::default();
    let builder = slow(&one).add_service(Again::new(one.clone()));
    let address = serve(builder.layer(LoadShed::new(1))).await;
    let client = GreeterClient::connect(&address).await.unwrap();
    let channel = Channel::connect(&address).await.unwrap();
    let (first, second) = tokio::join!(client.say_hello(hello("")), say_again(&channel, ""));
    assert_eq!(first.is_ok(), second.is_err());
    assert_eq!(one.started.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_one_service_leaves_the_others_alone() {
    let builder = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .add_layered_service(
            Again::new(MyGreeter),
            (Timeout::new(SECOND), CatchPanic::new()),
        );
    let channel = Channel::connect(serve(builder).await).await.unwrap();
    let start = tokio::time::Instant::now();
    let status = say_again(&channel, "never").await;
    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), SECOND);
    let status = GreeterClient::new(channel).say_hello(hello("never")).await;
    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), 11 * SECOND);
}

/// A greeter under another name.
#[derive(Clone)]
struct Again(Methods);

static AGAIN: MethodDescriptor = MethodDescriptor::new(
    "/helloworld.Again/SayHello",
    MethodKind::Unary,
    Idempotency::Unknown,
);

impl Again {
    fn new(greeter: impl Greeter) -> Self {
        let greeter = Arc::new(greeter);
        let methods = Methods::builder(Self::NAME).unary(&AGAIN, move |request| {
            let greeter = Arc::clone(&greeter);
            async move { greeter.say_hello(request).await }
        });
        Self(methods.build())
    }
}

impl NamedService for Again {
    const NAME: &'static str = "helloworld.Again";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

async fn say_again(channel: &Channel, name: &str) -> Result<Response<HelloReply>, Status> {
    unary(channel, &AGAIN, Request::new(hello(name))).await
}

#[tokio::test(start_paused = true)]
async fn the_channels_timeout_begins_before_its_layers() {
    let channel = Channel::builder(serve(greeter()).await)
        .timeout(SECOND)
        .layer(interceptor(|request, next| async move {
            std::future::pending::<()>().await;
            next.run(request).await
        }));
    let client = GreeterClient::new(channel.connect().await.unwrap());
    let status = client.say_hello(hello("you")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.phase(), Some("layer"));
}

#[tokio::test]
async fn a_panic_in_a_servers_layer_costs_only_its_call() {
    let server = greeter().layer(interceptor(|request, next| async move {
        assert!(request.metadata().is_empty(), "on request");
        next.run(request).await
    }));
    let client = client(server).await;
    let status = client
        .say_hello(Request::new(hello("you")).with_metadata("k", "v"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(client.say_hello(hello("you")).await.is_ok());
}

#[tokio::test]
async fn a_trace_goes_through_a_connection() {
    let server =
        greeter()
            .layer(Trace::server())
            .layer(interceptor(|mut request, next| async move {
                let context = *request.extensions().get::<TraceContext>().unwrap();
                let key = "k";
                request.metadata_mut().insert(key, context.to_string())?;
                next.run(request).await
            }));
    let channel = Channel::builder(serve(server).await).layer(Trace::client());
    let client = GreeterClient::new(channel.connect().await.unwrap());
    let parent = TraceContext::new_root(true);
    let request =
        Request::new(hello("metadata")).with_metadata(TraceContext::KEY, parent.to_string());
    let reply = client.say_hello(request).await.unwrap().into_inner();
    let seen: TraceContext = reply.message.parse().unwrap();
    assert_eq!(seen.trace_id(), parent.trace_id());
    assert_ne!(seen.span_id(), parent.span_id());
}

#[tokio::test]
async fn a_status_passed_on_does_not_claim_that_the_call_was_not_run() {
    struct PassesOn;
    impl Greeter for PassesOn {
        async fn say_hello(
            &self,
            _: Request<HelloRequest>,
        ) -> Result<Response<HelloReply>, Status> {
            Err(Status::unavailable("elsewhere").with_outcome(Outcome::NotProcessed))
        }
    }
    let server = Server::builder()
        .add_service(GreeterServer::new(PassesOn))
        .layer(Timeout::new(SECOND));
    let status = client(server).await.say_hello(hello("")).await.unwrap_err();
    assert_eq!(status.outcome(), None);
    let here = GreeterClient::new(GreeterServer::new(PassesOn));
    let status = here.say_hello(hello("")).await.unwrap_err();
    assert_eq!(status.outcome(), None);
}
