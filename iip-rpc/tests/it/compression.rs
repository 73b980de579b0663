//! Compressed messages over a connection: what both sides agreed on, in calls of every kind.

use std::sync::atomic::{AtomicUsize, Ordering};

use iip_rpc::client::ChannelBuilder;
use iip_rpc::layer::{Next, interceptor};
use iip_rpc::server::ServerBuilder;
use iip_rpc::testing::{Faults, Relay};
use iip_rpc::{
    Body, Channel, Code, Compression, Encoding, Outcome, Request, Response, RpcService, Server,
    Status,
};

use crate::greeter::{
    Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest, MyGreeter, hello,
};
use crate::streams::{Client, Streams, all, command, numbers};

/// The encodings whose features are compiled in.
fn supported() -> impl Iterator<Item = Encoding> {
    Encoding::ALL.into_iter().filter(|it| it.is_supported())
}

/// A channel to a server with all test services, through a relay that counts bytes.
async fn connect(
    server: impl FnOnce(ServerBuilder) -> ServerBuilder,
    client: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
) -> (Channel, Relay) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let builder = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .add_service(Streams::new());
    let server = server(builder)
        .bind(format!("memory://compression-{name}"))
        .await
        .unwrap();
    let relay = Faults::new(0).relay(server.local_addr());
    tokio::spawn(server.serve());
    let channel = client(Channel::builder(relay.address().to_string())).connect();
    (channel.await.unwrap(), relay)
}

fn name(len: usize) -> String {
    "a name of some length, "
        .chars()
        .cycle()
        .take(len)
        .collect()
}

/// Bytes that pass the relay for a greeting of this length.
async fn weight(channel: &Channel, relay: &Relay, len: usize) -> u64 {
    let client = GreeterClient::new(channel.clone());
    let before = relay.passed();
    let reply = client.say_hello(hello(name(len))).await.unwrap();
    assert_eq!(reply.get_ref().message, format!("Hello {}!", name(len)));
    relay.passed() - before
}

async fn every_kind(service: impl RpcService) {
    let client = Client(service);
    assert_eq!(client.one(7).await.unwrap(), 7);
    let response = client.list(command("count 2000")).await.unwrap();
    let (messages, end) = all(response.into_inner()).await;
    assert_eq!(messages, numbers(2000));
    assert!(end.is_ok());
    for size in [900, 5_000, 100_000, 900_000] {
        let response = client.list(command(format!("size {size}"))).await.unwrap();
        let (messages, end) = all(response.into_inner()).await;
        assert_eq!(messages, ["x".repeat(size)]);
        assert!(end.is_ok());
    }
    let (sender, reply) = client.record(Request::new(())).await.unwrap();
    for number in 0..2000 {
        sender.send(number).await.unwrap();
    }
    sender.finish().await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), 1999 * 2000 / 2);
    let (sender, mut replies) = client.chat(Request::new(())).await.unwrap();
    for len in [0, 10, 2_000, 50_000, 500_000] {
        sender.send(name(len)).await.unwrap();
        assert_eq!(replies.message().await.unwrap().unwrap(), name(len));
    }
    sender.finish().await.unwrap();
    assert!(replies.message().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn calls_of_every_kind_travel_compressed() {
    for encoding in supported() {
        let (channel, relay) =
            connect(|it| it.compress(encoding), |it| it.compress(encoding)).await;
        for len in [2_000, 20_000, 400_000] {
            let weight = weight(&channel, &relay, len).await;
            // Both ways together.
            assert!(weight < 200 + len as u64 / 10, "{encoding} {len}: {weight}");
        }
        every_kind(channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_side_decides_for_itself() {
    const LEN: usize = 10_000;
    for encoding in supported() {
        let (channel, relay) = connect(|it| it.compress(encoding), |it| it).await;
        let response_only = weight(&channel, &relay, LEN).await as usize;
        assert!((LEN..LEN + 1000).contains(&response_only));
        let (channel, relay) = connect(|it| it, |it| it.compress(encoding)).await;
        let request_only = weight(&channel, &relay, LEN).await as usize;
        assert!((LEN..LEN + 1000).contains(&request_only));
        // Nobody gets what it did not ask for.
        let (channel, relay) = connect(
            |it| it.compress(encoding).accept([]),
            |it| it.compress(encoding).accept([]),
        )
        .await;
        assert!(weight(&channel, &relay, LEN).await as usize > 2 * LEN);
        every_kind(channel).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_after_decompression() {
    for encoding in supported() {
        let (channel, _relay) = connect(
            |it| it.compress(encoding),
            |it| it.max_message(20_000).compress(encoding),
        )
        .await;
        let client = GreeterClient::new(channel.clone());
        let status = client.say_hello(hello(name(30_000))).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("max_message"));
        assert!(client.say_hello(hello(name(19_000))).await.is_ok());

        let (channel, _relay) =
            connect(|it| it.max_message(20_000), |it| it.compress(encoding)).await;
        let client = GreeterClient::new(channel);
        let status = client.say_hello(hello(name(30_000))).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
    }
}

/// A greeter that compresses its reply as the name asks, and says how the request came.
struct Choosing;

impl Greeter for Choosing {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let compression = match request.get_ref().name.chars().next() {
            Some('A') => Compression::Always,
            Some('N') => Compression::Never,
            _ => Compression::Auto,
        };
        let message = format!("{} {}", request.was_compressed(), request.get_ref().name);
        Ok(Response::new(HelloReply { message }).with_compression(compression))
    }
}

async fn choosing(
    server: impl FnOnce(ServerBuilder) -> ServerBuilder,
    client: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
) -> GreeterClient<Channel> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let server = server(Server::builder().add_service(GreeterServer::new(Choosing)))
        .bind(format!("memory://choosing-{name}"))
        .await
        .unwrap();
    let channel = client(Channel::builder(server.local_addr().to_string()));
    tokio::spawn(server.serve());
    GreeterClient::new(channel.connect().await.unwrap())
}

/// Whether the request and its reply came compressed.
async fn ways(
    client: &GreeterClient<impl RpcService>,
    asked: Compression,
    first: char,
    len: usize,
) -> (bool, bool) {
    let name = format!("{first}{}", name(len));
    let request = Request::new(hello(name)).with_compression(asked);
    let reply = client.say_hello(request).await.unwrap();
    let there = reply.get_ref().message.starts_with("true");
    (there, reply.was_compressed())
}

#[tokio::test(start_paused = true)]
async fn a_call_chooses_over_the_threshold_and_the_other_side_sees_it() {
    use Compression::{Always, Auto, Never};
    for encoding in supported() {
        let client = choosing(|it| it.compress(encoding), |it| it.compress(encoding)).await;
        assert_eq!(ways(&client, Auto, '-', 2000).await, (true, true));
        assert_eq!(ways(&client, Auto, '-', 500).await, (false, false));
        assert_eq!(ways(&client, Always, 'N', 500).await, (true, false));
        assert_eq!(ways(&client, Never, 'A', 500).await, (false, true));
        assert_eq!(ways(&client, Never, 'N', 9000).await, (false, false));

        let client = choosing(
            |it| it.compress(encoding).compress_from(300),
            |it| it.compress(encoding).compress_from(usize::MAX),
        )
        .await;
        assert_eq!(ways(&client, Auto, '-', 9000).await, (false, true));
        assert_eq!(ways(&client, Always, '-', 200).await, (true, false));
        assert_eq!(ways(&client, Auto, '-', 400).await, (false, true));
    }
}

/// Whoever asks for compression and cannot have it sends the message as it is.
#[tokio::test(start_paused = true)]
async fn asking_for_compression_never_fails() {
    let plain = (false, false);
    let always = Compression::Always;
    let client = choosing(|it| it, |it| it).await;
    assert_eq!(ways(&client, always, 'A', 9000).await, plain);
    for encoding in Encoding::ALL {
        let client = choosing(
            |it| it.compress(encoding).accept([]),
            |it| it.compress(encoding).accept([]),
        )
        .await;
        assert_eq!(ways(&client, always, 'A', 9000).await, plain);
        let both = encoding.is_supported();
        let client = choosing(|it| it.compress(encoding), |it| it.compress(encoding)).await;
        assert_eq!(ways(&client, always, 'A', 9000).await, (both, both));
    }
    let client = GreeterClient::new(GreeterServer::new(Choosing));
    assert_eq!(ways(&client, always, 'A', 9000).await, plain);
}

/// A layer passes on how a message came and how the reply is to go.
#[tokio::test(start_paused = true)]
async fn layers_keep_the_choice() {
    for encoding in supported() {
        let seen = interceptor(|request: Request<Body>, next: Next| async move {
            assert!(request.was_compressed() || next_is_client(&request));
            next.run(request).await
        });
        let client = choosing(
            |it| it.compress(encoding).layer(seen.clone()),
            |it| it.compress(encoding).layer(seen.clone()),
        )
        .await;
        let both = ways(&client, Compression::Always, 'A', 300).await;
        assert_eq!(both, (true, true));
        let there = ways(&client, Compression::Always, 'N', 300).await;
        assert_eq!(there, (true, false));
    }
}

/// A client's layers have a request that did not come from anywhere.
fn next_is_client(request: &Request<Body>) -> bool {
    request.peer().is_none()
}

#[tokio::test(start_paused = true)]
async fn each_message_of_a_stream_is_seen_as_it_was_sent() {
    for encoding in supported() {
        let (channel, relay) = connect(
            |it| it.compress(encoding).compress_from(10_000),
            |it| it.compress(encoding),
        )
        .await;
        let client = Client(channel);
        // Answers that are shorter than the server's threshold come as they are.
        let request = Request::new(()).with_compression(Compression::Never);
        let (sender, mut replies) = client.chat(request).await.unwrap();
        let mut weights = Vec::new();
        for (len, compression) in [
            (5_000, None),
            (5_000, Some(Compression::Always)),
            (20_000, None),
            (500, None),
            (5_000, Some(Compression::Auto)),
            (5_000, Some(Compression::Never)),
        ] {
            if let Some(compression) = compression {
                sender.set_compression(compression);
            }
            let before = relay.passed();
            sender.send(name(len)).await.unwrap();
            assert_eq!(replies.message().await.unwrap().unwrap(), name(len));
            assert_eq!(replies.was_compressed(), len >= 10_000);
            weights.push(relay.passed() - before);
        }
        assert!((5_000..6_500).contains(&weights[1]), "{weights:?}");
        assert!(weights[0] > 10_000 && weights[5] > 10_000, "{weights:?}");
        assert!(weights[2] < 4_000, "{weights:?}");
        assert!((500..900).contains(&weights[3]), "{weights:?}");
        assert!((5_000..6_500).contains(&weights[4]), "{weights:?}");
    }
}

/// A greeter that passes its calls on.
struct Passing<S>(GreeterClient<S>);

impl<S: RpcService> Greeter for Passing<S> {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        self.0.say_hello(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_passed_on_is_seen_as_it_came_last() {
    for encoding in supported() {
        let inner = GreeterClient::new(GreeterServer::new(Choosing));
        let server = Server::builder()
            .compress(encoding)
            .add_service(GreeterServer::new(Passing(inner)))
            .bind(format!("memory://passing-{encoding}"))
            .await
            .unwrap();
        let channel = Channel::builder(server.local_addr().to_string()).compress(encoding);
        tokio::spawn(server.serve());
        let client = GreeterClient::new(channel.connect().await.unwrap());
        // Compressed to the one that passes it on, not to the one in the same process.
        let seen = ways(&client, Compression::Always, 'A', 300).await;
        assert_eq!(seen, (false, true));

        let far = choosing(|it| it.compress(encoding), |it| it.compress(encoding)).await;
        let near = GreeterClient::new(GreeterServer::new(Passing(far)));
        let seen = ways(&near, Compression::Always, 'A', 300).await;
        assert_eq!(seen, (true, false));
    }
}
