//! Servers that stop.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use iip_rpc::{Code, Request, Response, Server, Status};
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

#[tokio::test]
async fn a_signal_asks_to_stop() {
    let mut stop = pin!(iip_rpc::shutdown_signal());
    // The first poll takes the signals over.
    let first = poll_fn(|context| Poll::Ready(stop.as_mut().poll(context))).await;
    assert!(first.is_pending());
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &std::process::id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    stop.await;
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
