//! How streams end when something around them does, and what goes on while they wait.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iip_rpc::codegen::{
    Idempotency, MethodDescriptor, MethodKind, Methods, NamedService, bidi_streaming, unary,
};
use iip_rpc::{Cancellation, Channel, Code, Request, Response, Sender, Server, Status, Streaming};
use tokio::sync::{Notify, oneshot};

use crate::streams::{Client, Streams, all, command, idle, numbers, over_tcp};

#[tokio::test]
async fn a_stream_outlives_the_channel_it_came_from() {
    let streams = Streams::new();
    let client = over_tcp(&streams).await;
    let answers = client
        .list(command("count 20000"))
        .await
        .unwrap()
        .into_inner();
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    drop(client);
    assert_eq!(all(answers).await.0, numbers(20_000));
    out.send("a".to_owned()).await.unwrap();
    assert_eq!(notes.message().await.unwrap().as_deref(), Some("a"));
    out.finish().await.unwrap();
    assert_eq!(notes.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_stops_ends_streams_at_its_grace() {
    for grace in [Duration::ZERO, Duration::from_secs(30)] {
        let streams = Streams::new();
        let server = Server::builder()
            .add_service(streams.clone())
            .bind("127.0.0.1:0")
            .await
            .unwrap();
        let address = server.local_addr().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve_with_shutdown(stopped, grace));
        let client = Client(Channel::connect(address).await.unwrap());
        let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
        out.send("a".to_owned()).await.unwrap();
        assert_eq!(notes.message().await.unwrap().as_deref(), Some("a"));
        stop.send(()).unwrap();
        if grace.is_zero() {
            let status = notes.message().await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            assert!(status.message().starts_with("draining"), "{status}");
            out.closed().await;
        } else {
            // What was begun goes on.
            out.send("b".to_owned()).await.unwrap();
            assert_eq!(notes.message().await.unwrap().as_deref(), Some("b"));
            out.finish().await.unwrap();
            assert_eq!(notes.message().await.unwrap(), None);
        }
        let report = serving.await.unwrap().unwrap();
        assert_eq!(report.cut_streams, usize::from(grace.is_zero()));
        assert!(report.is_clean());
        idle(&streams.1).await;
    }
}

#[tokio::test]
async fn a_lost_connection_ends_both_sides() {
    let streams = Streams::new();
    let server = Server::builder()
        .add_service(streams.clone())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    let serving = tokio::spawn(server.serve());
    let client = Client(Channel::connect(address).await.unwrap());
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    out.send("a".to_owned()).await.unwrap();
    notes.message().await.unwrap();
    let (sums, reply) = client.record(Request::new(())).await.unwrap();
    sums.send(1).await.unwrap();
    // Dropping a server closes its connections at once.
    serving.abort();
    let status = notes.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.endpoint().is_some());
    assert_eq!(reply.await.unwrap_err().code(), Code::Unavailable);
    out.closed().await;
    sums.closed().await;
    idle(&streams.1).await;
}

static COUNT: MethodDescriptor = MethodDescriptor::new(
    "/test.Busy/Count",
    MethodKind::Bidirectional,
    Idempotency::Unknown,
);
static WAIT: MethodDescriptor =
    MethodDescriptor::new("/test.Busy/Wait", MethodKind::Unary, Idempotency::Unknown);

/// Answers much at first, and then counts what comes.
#[derive(Clone)]
struct Busy(Methods);

impl Busy {
    fn new(reached: &Arc<Notify>, token: &Arc<Mutex<Option<Cancellation>>>) -> Self {
        let (reached, token) = (Arc::clone(reached), Arc::clone(token));
        let entered = Arc::clone(&reached);
        let methods = Methods::builder("test.Busy")
            .bidi_streaming(
                &COUNT,
                move |request: Request<Streaming<u64>>, out: Sender<String>| {
                    let reached = Arc::clone(&reached);
                    async move {
                        out.send("x".repeat(1_000_000)).await?;
                        let mut numbers = request.into_inner();
                        while let Some(number) = numbers.message().await? {
                            if number == 1000 {
                                reached.notify_one();
                            }
                        }
                        out.send("done".to_owned()).await
                    }
                },
            )
            .unary(&WAIT, move |request: Request<u64>| {
                *token.lock().unwrap() = Some(request.cancellation());
                entered.notify_one();
                async move {
                    let number = request.into_inner();
                    if number == 0 {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Status>(Response::new(number))
                }
            });
        Self(methods.build())
    }
}

impl NamedService for Busy {
    const NAME: &'static str = "test.Busy";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

async fn busy(reached: &Arc<Notify>, token: &Arc<Mutex<Option<Cancellation>>>) -> Channel {
    let server = Server::builder()
        .add_service(Busy::new(reached, token))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    Channel::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_handler_goes_on_while_its_answer_waits_for_credit() {
    let reached = Arc::new(Notify::new());
    let channel = busy(&reached, &Arc::default()).await;
    let call = bidi_streaming::<_, u64, String>(&channel, &COUNT, Request::new(()));
    let (out, mut answers) = call.await.unwrap();
    for number in 0..=1000 {
        out.send(number).await.unwrap();
    }
    // Nothing of the large answer was taken.
    reached.notified().await;
    out.finish().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().len(), 1_000_000);
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("done"));
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_unary_handlers_token_fires_when_its_call_is_over_or_given_up() {
    let (entered, token) = (Arc::new(Notify::new()), Arc::default());
    let channel = busy(&entered, &token).await;
    let taken = || token.lock().unwrap().take().unwrap();
    let reply: Response<u64> = unary(&channel, &WAIT, Request::new(1u64)).await.unwrap();
    assert_eq!(reply.into_inner(), 1);
    entered.notified().await;
    taken().cancelled().await;
    let call = unary::<_, u64, u64>(&channel, &WAIT, Request::new(0));
    tokio::select! {
        _ = call => panic!("answered"),
        () = entered.notified() => {}
    }
    taken().cancelled().await;
}
