//! Layers around methods that stream: what a layer keeps for a call, it keeps until the streamed response has ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::client::ChannelBuilder;
use iip_rpc::layer::{
    CatchPanic, ConcurrencyLimit, LoadShed, Timeout, Trace, interceptor, layered,
};
use iip_rpc::server::ServerBuilder;
use iip_rpc::{Channel, Code, Outcome, Request, Server};
use tokio::time::Instant;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;

use crate::streams::{Client, Streams, all, command, idle, numbers};

const SECOND: Duration = Duration::from_secs(1);

/// Serves inside this process with layers on either side.
async fn served(
    streams: &Streams,
    server: impl FnOnce(ServerBuilder) -> ServerBuilder,
    client: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
) -> Client<Channel> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let server = server(Server::builder().add_service(streams.clone()))
        .bind(format!("memory://layered-streams-{name}"))
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let channel = client(Channel::builder(address)).connect().await;
    Client(channel.unwrap())
}

/// The same builder, with one of every layer.
macro_rules! with_all_layers {
    ($builder:expr, $trace:expr) => {
        $builder
            .layer($trace)
            .layer(TimeoutLayer::new(100 * SECOND))
            .layer(ConcurrencyLimitLayer::new(100))
            .layer(CatchPanic::new())
            .layer(Timeout::new(100 * SECOND))
            .layer(ConcurrencyLimit::new(100))
            .layer(LoadShed::new(100))
            .layer(interceptor(|mut request, next| async move {
                assert_eq!(
                    request.get_ref().is_stream(),
                    !request.method().unwrap().name().starts_with(['L', 'O'])
                );
                request.metadata_mut().append("k", "layer")?;
                let mut response = next.run(request).await?;
                response.metadata_mut().append("seen", "yes")?;
                Ok(response)
            }))
    };
}

async fn every_kind(client: &Client<impl iip_rpc::RpcService>) {
    assert_eq!(client.one(7).await.unwrap(), 7);
    let response = client.list(command("count 1000")).await.unwrap();
    assert!(response.metadata().get("seen").is_some());
    let (messages, end) = all(response.into_inner()).await;
    assert_eq!(messages, numbers(1000));
    assert!(end.is_ok());
    let response = client.list(command("metadata 3")).await.unwrap();
    assert_eq!(response.metadata().get("head"), Some("layer"));
    let (messages, end) = all(response.into_inner()).await;
    assert_eq!(messages, numbers(3));
    assert_eq!(end.unwrap().trailers().get("tail"), Some("layer"));
    let response = client.list(command("fail 3")).await.unwrap();
    let (messages, end) = all(response.into_inner()).await;
    assert_eq!(messages, numbers(3));
    assert_eq!(end.unwrap_err().code(), Code::NotFound);
    let (sender, reply) = client.record(Request::new(())).await.unwrap();
    for number in 0..1000 {
        sender.send(number).await.unwrap();
    }
    sender.finish().await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), 999 * 1000 / 2);
    let (sender, mut replies) = client.chat(Request::new(())).await.unwrap();
    for text in ["a", "b"] {
        sender.send(text.to_owned()).await.unwrap();
        assert!(replies.message().await.unwrap().unwrap().contains(text));
    }
    sender.finish().await.unwrap();
    while replies.message().await.unwrap().is_some() {}
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_method_goes_through_every_layer() {
    let streams = Streams::new();
    let client = served(
        &streams,
        |server| with_all_layers!(server, Trace::server()),
        |client| with_all_layers!(client, Trace::client()),
    )
    .await;
    every_kind(&client).await;
    let layers = (LoadShed::new(10), Timeout::new(SECOND));
    let seen = interceptor(|mut request, next| async move {
        request.metadata_mut().insert("k", "layer")?;
        let mut response = next.run(request).await?;
        response.metadata_mut().insert("seen", "yes")?;
        Ok(response)
    });
    every_kind(&Client(layered(streams, (layers, seen)))).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_a_stream_until_it_ends() {
    for on_server in [true, false] {
        let streams = Streams::new();
        let client = if on_server {
            served(&streams, |it| it.layer(LoadShed::new(1)), |it| it).await
        } else {
            served(&streams, |it| it, |it| it.layer(LoadShed::new(1))).await
        };
        let open = client.list(command("wait 1")).await.unwrap();
        let mut open = open.into_inner();
        assert_eq!(open.message().await.unwrap().unwrap(), "0");
        let status = client.one(1).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
        drop(open);
        idle(&streams.1).await;
        assert_eq!(client.one(1).await.unwrap(), 1);
        let (messages, end) =
            all(client.list(command("count 5")).await.unwrap().into_inner()).await;
        assert_eq!(messages.len(), 5);
        // The stream is at its end, and still there.
        assert!(end.is_ok());
        assert_eq!(client.one(1).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_a_stream() {
    for on_server in [true, false] {
        let streams = Streams::new();
        let client = if on_server {
            served(&streams, |it| it.layer(Timeout::new(SECOND)), |it| it).await
        } else {
            served(&streams, |it| it, |it| it.layer(Timeout::new(SECOND))).await
        };
        let start = Instant::now();
        let open = client.list(command("wait 3")).await.unwrap();
        let (messages, end) = all(open.into_inner()).await;
        assert_eq!(messages, numbers(3));
        assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(start.elapsed(), SECOND, "on the server: {on_server}");
        idle(&streams.1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn towers_timeout_ends_with_the_beginning_of_a_stream() {
    let streams = Streams::new();
    let client = served(&streams, |it| it.layer(TimeoutLayer::new(SECOND)), |it| it).await;
    let open = client.list(command("gate 3")).await.unwrap_err();
    assert_eq!(open.code(), Code::DeadlineExceeded);
    let mut open = client.list(command("wait 1")).await.unwrap().into_inner();
    assert!(open.message().await.unwrap().is_some());
    let late = tokio::time::timeout(60 * SECOND, open.message()).await;
    assert!(late.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_ends_in_its_layers() {
    let streams = Streams::new();
    let client = served(
        &streams,
        |it| it.layer(Trace::server()).layer(ConcurrencyLimit::new(1)),
        |it| it.layer(Trace::client()),
    )
    .await;
    for _ in 0..3 {
        let (sender, replies) = client.chat(Request::new(())).await.unwrap();
        sender.send("hello".to_owned()).await.unwrap();
        drop((sender, replies));
        idle(&streams.1).await;
    }
    assert_eq!(client.one(1).await.unwrap(), 1);
}
