//! Compressed messages over a connection: what both sides agreed on, in calls of every kind.

use std::sync::atomic::{AtomicUsize, Ordering};

use iip_rpc::client::ChannelBuilder;
use iip_rpc::server::ServerBuilder;
use iip_rpc::testing::{Faults, Relay};
use iip_rpc::{Channel, Code, Encoding, Outcome, Request, RpcService, Server};

use crate::greeter::{GreeterClient, GreeterServer, MyGreeter, hello};
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
