//! What streaming calls do, in process and over a connection alike.

use std::sync::atomic::Ordering;
use std::time::Duration;

use iip_rpc::{Code, Request, RpcService};

use crate::streams::{Client, Seen, Streams, all, command, idle, in_memory, numbers, over_tcp};

/// Makes each check a test in process and a test over TCP.
macro_rules! both_ways {
    ($($check:ident),* $(,)?) => {
        mod in_process {
            use super::*;
            $(#[tokio::test]
            async fn $check() {
                let streams = Streams::new();
                super::$check(Client(streams.clone()), &streams.1).await;
                idle(&streams.1).await;
            })*
        }
        mod over_a_connection {
            use super::*;
            $(#[tokio::test]
            async fn $check() {
                let streams = Streams::new();
                let client = over_tcp(&streams).await;
                super::$check(client.clone(), &streams.1).await;
                idle(&streams.1).await;
                // Whatever a stream did, the connection goes on.
                assert_eq!(client.one(7).await.unwrap(), 7);
            })*
        }
    };
}

both_ways!(
    answers_come_in_order_and_end,
    a_stream_may_be_empty,
    many_small_answers,
    a_failure_before_the_first_answer_fails_the_call,
    a_failure_after_some_answers_follows_them,
    a_panic_after_some_answers_is_internal,
    metadata_and_trailers_travel,
    metadata_comes_without_a_message,
    large_answers,
    too_large_an_answer_fails_the_call,
    answers_sent_by_another_task,
    a_sender_that_outlives_its_handler_is_closed,
    try_send_tells_when_there_is_no_room,
    dropping_the_answers_drops_the_handler,
    requests_are_summed,
    many_small_requests,
    an_early_reply_ends_the_requests,
    all_of_an_iterator_is_sent,
    an_early_reply_ends_an_iterator,
    an_error_of_a_call_comes_once,
    a_sender_dropped_unfinished_cancels,
    dropping_the_reply_drops_the_handler,
    a_conversation,
    a_server_may_speak_first,
    a_half_close_lets_the_rest_come,
    an_early_end_closes_the_sender,
    dropping_a_conversation_drops_the_handler,
    requests_wait_for_a_handler_that_does_not_answer_yet,
    large_requests,
);

async fn answers_come_in_order_and_end(client: Client<impl RpcService>, _: &Seen) {
    let (messages, end) = all(client.list(command("count 3")).await.unwrap().into_inner()).await;
    assert_eq!(messages, numbers(3));
    let mut stream = end.unwrap();
    assert!(stream.trailers().is_empty());
    assert_eq!(stream.message().await.unwrap(), None);
}

async fn a_stream_may_be_empty(client: Client<impl RpcService>, _: &Seen) {
    let (messages, end) = all(client.list(command("count 0")).await.unwrap().into_inner()).await;
    assert!(messages.is_empty());
    assert!(end.is_ok());
}

async fn many_small_answers(client: Client<impl RpcService>, _: &Seen) {
    let (messages, end) = all(client
        .list(command("count 20000"))
        .await
        .unwrap()
        .into_inner())
    .await;
    assert_eq!(messages, numbers(20_000));
    assert!(end.is_ok());
}

async fn a_failure_before_the_first_answer_fails_the_call(
    client: Client<impl RpcService>,
    _: &Seen,
) {
    let status = client.list(command("fail 0")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no more");
    assert_eq!(status.metadata().get("why"), Some("so"));
    assert_eq!(status.outcome(), None);
}

async fn a_failure_after_some_answers_follows_them(client: Client<impl RpcService>, _: &Seen) {
    let (messages, end) = all(client.list(command("fail 3")).await.unwrap().into_inner()).await;
    assert_eq!(messages, numbers(3));
    let status = end.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "no more")
    );
}

async fn a_panic_after_some_answers_is_internal(client: Client<impl RpcService>, _: &Seen) {
    let (messages, end) = all(client.list(command("panic 3")).await.unwrap().into_inner()).await;
    assert_eq!(messages, numbers(3));
    let status = end.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "the method panicked");
}

async fn metadata_and_trailers_travel(client: Client<impl RpcService>, _: &Seen) {
    let request = command("metadata 2").with_metadata("k", "v");
    let response = client.list(request).await.unwrap();
    assert_eq!(response.metadata().get("head"), Some("v"));
    let (messages, end) = all(response.into_inner()).await;
    assert_eq!(messages, numbers(2));
    let stream = end.unwrap();
    assert_eq!(stream.metadata().get("head"), Some("v"));
    assert_eq!(stream.trailers().get("tail"), Some("v"));
}

async fn metadata_comes_without_a_message(client: Client<impl RpcService>, _: &Seen) {
    let response = client.list(command("metadata 0")).await.unwrap();
    assert_eq!(response.metadata().get("head"), Some("none"));
    let (_, end) = all(response.into_inner()).await;
    assert_eq!(end.unwrap().trailers().get("tail"), Some("none"));
}

async fn large_answers(client: Client<impl RpcService>, _: &Seen) {
    for size in [16_000, 16_320, 16_384, 40_000, 3_000_000] {
        let response = client.list(command(format!("size {size}"))).await.unwrap();
        let (messages, end) = all(response.into_inner()).await;
        assert!(end.is_ok());
        assert_eq!(messages, ["x".repeat(size)]);
    }
}

async fn too_large_an_answer_fails_the_call(client: Client<impl RpcService>, _: &Seen) {
    // Only a connection has a limit.
    let answer = client.list(command("size 5000000")).await;
    if let Err(status) = answer {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("max_message"), "{status}");
    }
}

async fn answers_sent_by_another_task(client: Client<impl RpcService>, _: &Seen) {
    let response = client.list(command("elsewhere 5000")).await.unwrap();
    let (messages, end) = all(response.into_inner()).await;
    assert_eq!(messages, numbers(5000));
    assert!(end.is_ok());
}

async fn a_sender_that_outlives_its_handler_is_closed(
    client: Client<impl RpcService>,
    seen: &Seen,
) {
    let response = client.list(command("outlived 0")).await.unwrap();
    assert!(all(response.into_inner()).await.1.is_ok());
    seen.gate.notified().await;
}

async fn try_send_tells_when_there_is_no_room(client: Client<impl RpcService>, _: &Seen) {
    let response = client.list(command("try 0")).await.unwrap();
    let (messages, end) = all(response.into_inner()).await;
    let count = end.unwrap().trailers().get("count").unwrap().to_owned();
    assert_eq!(messages.len().to_string(), count);
    assert!(messages.len() > 100);
}

async fn dropping_the_answers_drops_the_handler(client: Client<impl RpcService>, seen: &Seen) {
    let mut answers = client.list(command("wait 2")).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("0"));
    let token = seen.token.lock().unwrap().clone().unwrap();
    assert!(!token.is_cancelled());
    drop(answers);
    token.cancelled().await;
    assert!(token.is_cancelled());
}

async fn requests_are_summed(client: Client<impl RpcService>, _: &Seen) {
    let (out, reply) = client.record(Request::new(())).await.unwrap();
    for number in 1..=4 {
        out.send(number).await.unwrap();
    }
    out.finish().await.unwrap();
    let reply = reply.await.unwrap();
    assert_eq!(*reply.get_ref(), 10);
    assert_eq!(reply.metadata().get("head"), Some("h"));
    assert_eq!(reply.trailers().get("tail"), Some("t"));
}

async fn many_small_requests(client: Client<impl RpcService>, _: &Seen) {
    let (out, reply) = client.record(Request::new(())).await.unwrap();
    for number in 1..=20_000 {
        out.send(number).await.unwrap();
    }
    out.finish().await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), 200_010_000);
}

async fn an_early_reply_ends_the_requests(client: Client<impl RpcService>, _: &Seen) {
    let request = Request::new(()).with_metadata("early", "yes");
    let (out, reply) = client.record(request).await.unwrap();
    out.send(5).await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), 5);
    out.closed().await;
    assert!(out.is_closed());
    assert_eq!(out.send(6).await.unwrap_err().code(), Code::Cancelled);
    assert!(out.try_send(6).unwrap_err().is_closed());
    out.finish().await.unwrap();
}

async fn all_of_an_iterator_is_sent(client: Client<impl RpcService>, _: &Seen) {
    let (out, reply) = client.record(Request::new(())).await.unwrap();
    out.send_all(1..=20_000).await.unwrap();
    out.finish_with(1..=10).await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), 200_010_000 + 55);

    let (out, notes) = client.chat(Request::new(())).await.unwrap();
    let sending = tokio::spawn(out.finish_with(numbers(20_000)));
    assert_eq!(all(notes).await.0, numbers(20_000));
    sending.await.unwrap().unwrap();

    let stream = client.list(command("everything 20000")).await.unwrap();
    assert_eq!(all(stream.into_inner()).await.0, numbers(20_000));
}

async fn an_early_reply_ends_an_iterator(client: Client<impl RpcService>, _: &Seen) {
    let early = || Request::new(()).with_metadata("early", "yes");
    let (out, reply) = client.record(early()).await.unwrap();
    out.finish_with(std::iter::repeat(5)).await.unwrap();
    assert_eq!(reply.await.unwrap().into_inner(), 5);

    let (out, reply) = client.record(early()).await.unwrap();
    let status = out.send_all(std::iter::repeat(5)).await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
    assert_eq!(reply.await.unwrap().into_inner(), 5);
}

async fn an_error_of_a_call_comes_once(client: Client<impl RpcService>, _: &Seen) {
    let mut stream = client.list(command("fail 2")).await.unwrap().into_inner();
    for text in numbers(2) {
        assert_eq!(stream.message().await.unwrap(), Some(text));
    }
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    for _ in 0..3 {
        assert_eq!(stream.message().await.unwrap(), None);
    }
}

async fn a_sender_dropped_unfinished_cancels(client: Client<impl RpcService>, _: &Seen) {
    let (out, reply) = client.record(Request::new(())).await.unwrap();
    out.send(5).await.unwrap();
    drop(out);
    assert_eq!(reply.await.unwrap_err().code(), Code::Cancelled);
}

async fn dropping_the_reply_drops_the_handler(client: Client<impl RpcService>, _: &Seen) {
    let (out, reply) = client.record(Request::new(())).await.unwrap();
    out.send(5).await.unwrap();
    drop(reply);
    // Over a connection it is the sender's task that has to see it.
    while out.send(6).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(out.is_closed());
}

async fn a_conversation(client: Client<impl RpcService>, _: &Seen) {
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    for text in numbers(100) {
        out.send(text.clone()).await.unwrap();
        assert_eq!(notes.message().await.unwrap(), Some(text));
    }
    out.finish().await.unwrap();
    assert_eq!(notes.message().await.unwrap(), None);
    assert_eq!(notes.trailers().get("tail"), Some("t"));
}

async fn a_server_may_speak_first(client: Client<impl RpcService>, _: &Seen) {
    let request = Request::new(()).with_metadata("greet", "yes");
    let (out, mut notes) = client.chat(request).await.unwrap();
    assert_eq!(notes.message().await.unwrap().as_deref(), Some("welcome"));
    assert_eq!(notes.metadata().get("head"), Some("h"));
    out.finish().await.unwrap();
    assert_eq!(notes.message().await.unwrap(), None);
}

async fn a_half_close_lets_the_rest_come(client: Client<impl RpcService>, _: &Seen) {
    let (out, notes) = client.chat(Request::new(())).await.unwrap();
    for text in numbers(100) {
        out.send(text).await.unwrap();
    }
    out.finish().await.unwrap();
    assert_eq!(all(notes).await.0, numbers(100));
}

async fn an_early_end_closes_the_sender(client: Client<impl RpcService>, _: &Seen) {
    let (out, notes) = client.chat(Request::new(())).await.unwrap();
    out.send("a".to_owned()).await.unwrap();
    out.send("bye".to_owned()).await.unwrap();
    let (messages, end) = all(notes).await;
    assert_eq!(messages, ["a"]);
    assert!(end.is_ok());
    out.closed().await;
    assert!(out.send("b".to_owned()).await.is_err());
}

async fn dropping_a_conversation_drops_the_handler(client: Client<impl RpcService>, seen: &Seen) {
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    out.send("a".to_owned()).await.unwrap();
    assert_eq!(notes.message().await.unwrap().as_deref(), Some("a"));
    let token = seen.token.lock().unwrap().clone().unwrap();
    drop(notes);
    token.cancelled().await;
    out.closed().await;
}

async fn requests_wait_for_a_handler_that_does_not_answer_yet(
    client: Client<impl RpcService>,
    seen: &Seen,
) {
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                all(client.list(command("gate 3")).await?.into_inner())
                    .await
                    .1
            })
        })
        .collect();
    for call in calls {
        seen.gate.notify_one();
        while !call.is_finished() {
            seen.gate.notify_one();
            tokio::task::yield_now().await;
        }
        assert!(call.await.unwrap().is_ok());
    }
}

async fn large_requests(client: Client<impl RpcService>, _: &Seen) {
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    for size in [0, 1, 16_319, 16_320, 16_321, 100_000, 2_000_000] {
        let text = "y".repeat(size);
        // Beside each other: a message this large does not fit what may wait on the way.
        let sent = async { out.send(text.clone()).await };
        let (sent, received) = tokio::join!(sent, notes.message());
        sent.unwrap();
        assert_eq!(received.unwrap(), Some(text));
    }
    out.finish().await.unwrap();
    assert_eq!(notes.message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream() {
    let streams = Streams::new();
    let connected = in_memory(&streams).await;
    let request = || command("wait 2").with_timeout(Duration::from_millis(50));
    for answers in [
        Client(streams.clone()).list(request()).await,
        connected.list(request()).await,
    ] {
        let (messages, end) = all(answers.unwrap().into_inner()).await;
        assert_eq!(messages, numbers(2));
        assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
    }
    idle(&streams.1).await;
    assert!(
        streams
            .1
            .token
            .lock()
            .unwrap()
            .clone()
            .unwrap()
            .is_cancelled()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_no_deadline_of_the_channel() {
    let streams = Streams::new();
    let client = in_memory(&streams).await;
    let mut answers = client.list(command("wait 1")).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("0"));
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(tokio::time::timeout(day, answers.message()).await.is_err());
    assert_eq!(streams.1.running.load(Ordering::SeqCst), 1);
    drop(answers);
    idle(&streams.1).await;
}
