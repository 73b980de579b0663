//! Servers that stop.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use iip_rpc::{Channel, Code, Outcome, Request, Response, Server, Status};
use tokio::sync::{Notify, oneshot};

use crate::greeter::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest, hello};

/// Answers when it is let go.
#[derive(Clone, Default)]
struct Gate {
    entered: Arc<Notify>,
    open: Arc<Notify>,
}

impl Greeter for Gate {
    async fn say_hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        self.entered.notify_one();
        self.open.notified().await;
        Ok(HelloReply {
            message: "late".to_owned(),
        }
        .into())
    }
}

async fn start(
    gate: &Gate,
    grace: Duration,
) -> (
    GreeterClient,
    oneshot::Sender<()>,
    tokio::task::JoinHandle<std::io::Result<iip_rpc::server::Report>>,
) {
    let server = Server::builder()
        .add_service(GreeterServer::new(gate.clone()))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let client = server.local_addr().to_string();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server.serve_with_shutdown(stopped, grace));
    (GreeterClient::connect(client).await.unwrap(), stop, serving)
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_accepted() {
    let gate = Gate::default();
    let (client, stop, serving) = start(&gate, Duration::from_secs(30)).await;
    let call = tokio::spawn(async move { client.say_hello(hello("x")).await });
    gate.entered.notified().await;
    stop.send(()).unwrap();
    gate.open.notify_one();
    assert_eq!(call.await.unwrap().unwrap().get_ref().message, "late");
    let report = serving.await.unwrap().unwrap();
    assert_eq!((report.cut_calls, report.cut_connections), (0, 0));
}

/// One test for both: each signal reaches everybody in the process who listens.
#[tokio::test]
async fn a_signal_asks_to_stop() {
    for signal in ["-TERM", "-INT"] {
        let stop = iip_rpc::shutdown_signal();
        // It counts although nobody has polled yet, and the process lives on.
        let sent = std::process::Command::new("kill")
            .args([signal, &std::process::id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        stop.await;
    }
}

#[tokio::test]
async fn a_handle_stops_a_server() {
    let server = Server::builder()
        .add_service(GreeterServer::new(Gate::default()))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let handle = server.handle();
    let serving = tokio::spawn(server.serve());
    assert!(handle.is_ready());
    handle.drain(Duration::from_secs(30));
    assert!(!handle.is_ready());
    serving.await.unwrap().unwrap();
    assert!(handle.stopped().await.unwrap().is_clean());
}

#[tokio::test]
async fn a_channel_closes_when_its_calls_are_answered() {
    let gate = Gate::default();
    let server = Server::builder()
        .add_service(GreeterServer::new(gate.clone()))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let channel = Channel::connect(server.local_addr().to_string());
    let serving = tokio::spawn(server.serve());
    let channel = channel.await.unwrap();
    let client = GreeterClient::new(channel.clone());
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.say_hello(hello("x")).await }
    });
    gate.entered.notified().await;
    let mut closing = pin!(channel.close(Duration::from_secs(30)));
    // The first poll closes it for new calls.
    let first = poll_fn(|context| Poll::Ready(closing.as_mut().poll(context))).await;
    assert!(first.is_pending());
    let status = client.say_hello(hello("late")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    gate.open.notify_one();
    assert_eq!(call.await.unwrap().unwrap().get_ref().message, "late");
    assert!(closing.await.is_clean());
    serving.abort();
}

#[tokio::test]
async fn calls_that_outlast_the_grace_are_told() {
    let gate = Gate::default();
    let (client, stop, serving) = start(&gate, Duration::ZERO).await;
    let call = tokio::spawn(async move { client.say_hello(hello("x")).await });
    gate.entered.notified().await;
    stop.send(()).unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(serving.await.unwrap().unwrap().cut_calls, 1);
}
