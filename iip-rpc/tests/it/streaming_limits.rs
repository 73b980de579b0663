//! Streams at their limits: many, large, slow, malformed, with peers that have none.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use iip_core::client::Client as Core;
use iip_core::session::{Chunk, Format, Limits, Payload};
use iip_core::wire::Path;
use iip_rpc::codegen::{Idempotency, MethodDescriptor, MethodKind, Methods, NamedService};
use iip_rpc::{Channel, Code, Outcome, Request, Sender, Server, Status};

use crate::streams::{Client, Streams, all, command, idle, in_memory, numbers, over_tcp};

#[test]
fn a_stream_in_process_needs_no_runtime() {
    let mut call = pin!(async {
        let client = Client(Streams::new());
        let answers = client.list(command("count 1000")).await?.into_inner();
        let (out, mut notes) = client.chat(Request::new(())).await?;
        out.send("a".to_owned()).await?;
        assert_eq!(notes.message().await?.as_deref(), Some("a"));
        let (sums, reply) = client.record(Request::new(())).await?;
        // More than may wait on the way: the sender lets the handler go on.
        for _ in 0..5000 {
            sums.send(1).await?;
        }
        sums.finish().await?;
        assert_eq!(reply.await?.into_inner(), 5000);
        Ok::<_, Status>(all(answers).await.0)
    });
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(messages) = call.as_mut().poll(&mut context) else {
        panic!("pending");
    };
    assert_eq!(messages.unwrap(), numbers(1000));
}

#[tokio::test]
async fn a_thousand_streams_on_one_connection() {
    let streams = Streams::new();
    let client = over_tcp(&streams).await;
    let mut open = Vec::new();
    for index in 0..1000 {
        let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
        out.send(index.to_string()).await.unwrap();
        assert_eq!(notes.message().await.unwrap(), Some(index.to_string()));
        open.push((out, notes));
    }
    assert_eq!(streams.1.running.load(Ordering::SeqCst), 1000);
    assert_eq!(client.one(7).await.unwrap(), 7);
    for (index, (out, notes)) in open.iter_mut().enumerate() {
        for text in numbers(2) {
            out.send(format!("{index} {text}")).await.unwrap();
            let note = notes.message().await.unwrap();
            assert_eq!(note, Some(format!("{index} {text}")));
        }
    }
    for (out, mut notes) in open {
        out.finish().await.unwrap();
        assert_eq!(notes.message().await.unwrap(), None);
    }
    idle(&streams.1).await;
}

#[tokio::test]
async fn streams_beside_each_other_keep_apart() {
    let client = over_tcp(&Streams::new()).await;
    let calls: Vec<_> = (0..200)
        .map(|index| {
            let client = client.clone();
            tokio::spawn(async move {
                let command = command(format!("count {}", index * 10));
                let (messages, end) = all(client.list(command).await.unwrap().into_inner()).await;
                assert!(end.is_ok());
                assert_eq!(messages, numbers(index * 10));
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn messages_as_large_as_both_sides_allow() {
    let limit = 6 << 20;
    let server = Server::builder()
        .add_service(Streams::new())
        .max_message(limit)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let channel = Channel::builder(address).max_message(limit).connect().await;
    let client = Client(channel.unwrap());
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    for fill in ["a", "b"] {
        let text = fill.repeat(5 << 20);
        let (sent, received) = tokio::join!(out.send(text.clone()), notes.message());
        sent.unwrap();
        assert!(received.unwrap() == Some(text));
    }
    // One too large stays here, and the stream goes on.
    let status = out.send("c".repeat(limit)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("max_message"), "{status}");
    out.send("d".to_owned()).await.unwrap();
    assert_eq!(notes.message().await.unwrap().as_deref(), Some("d"));
}

#[tokio::test]
async fn a_handler_in_process_waits_for_who_does_not_read() {
    let streams = Streams::new();
    let client = Client(streams.clone());
    let mut answers = client
        .list(command("count 100000"))
        .await
        .unwrap()
        .into_inner();
    for text in numbers(3) {
        assert_eq!(answers.message().await.unwrap(), Some(text));
    }
    let sent = streams.1.sent.load(Ordering::SeqCst);
    assert!(sent < 1000, "{sent}");
    assert_eq!(all(answers).await.0.len(), 100_000 - 3);
}

#[tokio::test(start_paused = true)]
async fn an_expired_stream_is_not_sent() {
    let streams = Streams::new();
    let connected = in_memory(&streams).await;
    let request = || command("count 1").with_timeout(Duration::ZERO);
    let status = connected.list(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    let status = Client(streams.clone()).list(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert_eq!(streams.1.sent.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn metadata_that_is_not_valid_fails_before_the_call() {
    let client = Client(Streams::new());
    let bad = || Request::new(()).with_metadata("k", "two\nlines");
    for status in [
        client.chat(bad()).await.unwrap_err(),
        client.record(bad()).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
    }
}

#[tokio::test]
async fn the_sides_of_a_call_that_have_no_metadata_say_so() {
    let client = Client(Streams::new());
    let (out, _reply) = client.record(Request::new(())).await.unwrap();
    for refused in [
        out.set_metadata(iip_rpc::Metadata::new()),
        out.set_trailers(iip_rpc::Metadata::new()),
    ] {
        assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    }
}

/// A server of the streams, for clients of bytes.
async fn address() -> String {
    let server = Server::builder()
        .add_service(Streams::new())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    address
}

#[tokio::test]
async fn a_plain_client_is_told_that_it_cannot_stream() {
    let client = Core::builder(address().await.parse().unwrap())
        .plain()
        .connect()
        .await
        .unwrap();
    for method in ["List", "Record", "Chat"] {
        let path = format!("/test.Streams/{method}");
        let answer = client.call(&path, Bytes::from_static(b"\x08\x01")).await;
        let answer = answer.unwrap();
        let text = std::str::from_utf8(&answer).unwrap();
        assert!(
            text.starts_with(r#"{"code":-1,"message":"handler fail:UNIMPLEMENTED: "#),
            "{text}"
        );
        assert!(text.contains("not supported here"), "{text}");
    }
}

#[tokio::test]
async fn a_plain_server_is_not_asked_to_stream() {
    let channel = Channel::builder(address().await).plain().connect().await;
    let client = Client(channel.unwrap());
    for status in [
        client.list(command("count 1")).await.unwrap_err(),
        client.record(Request::new(())).await.unwrap_err(),
        client.chat(Request::new(())).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
        assert!(status.endpoint().is_some());
    }
}

/// What a call of records answers: its frames together.
async fn answer(path: &'static str, frames: &[&'static [u8]], complete: bool) -> Vec<u8> {
    let client = Core::builder(address().await.parse().unwrap());
    answer_of(&client.connect().await.unwrap(), path, frames, complete).await
}

async fn answer_of(
    client: &Core,
    path: &'static str,
    frames: &[&'static [u8]],
    complete: bool,
) -> Vec<u8> {
    let connection = client.ready(None).await.unwrap();
    let (mut requests, mut responses) = connection
        .open(
            &Path::new(path).unwrap(),
            Format::Enveloped,
            Payload::from(Bytes::from_static(frames[0])),
            complete && frames.len() == 1,
            None,
        )
        .unwrap_or_else(|_| panic!("no channel"));
    for (index, frame) in frames.iter().enumerate().skip(1) {
        let last = complete && index + 1 == frames.len();
        let chunk = Chunk::new(&[], Bytes::from_static(frame));
        // The answer may have come.
        let _ = requests.push(chunk, last);
    }
    let mut all = Vec::new();
    while let Some(frame) = responses.frame().await.unwrap() {
        all.extend_from_slice(&frame);
    }
    all
}

/// The status code in the TRAILER that an answer ends with.
#[track_caller]
fn trailer_code(answer: &[u8]) -> u8 {
    let start = answer.iter().position(|byte| *byte == 5).unwrap();
    // The record's kind, its length of one or two bytes, then field 1.
    let code = answer[start..].windows(2).find(|pair| pair[0] == 8);
    code.unwrap()[1]
}

#[tokio::test]
async fn records_that_cannot_be_read_fail_their_call() {
    for (path, frames, code) in [
        // Not a record; two messages; none; another kind than is known; a message cut short.
        ("/test.Streams/List", &[&b"\x02\x09a"[..]][..], 13),
        ("/test.Streams/List", &[b"\x02\x00\x02\x00"], 13),
        ("/test.Streams/List", &[b""], 13),
        ("/test.Streams/List", &[b"\x07\x00"], 13),
        ("/test.Streams/List", &[b"\x03\x03\x05\x0a\x03"], 13),
        ("/test.Streams/List", &[b"\x02\x01\xff"], 3),
        (
            "/test.Streams/Record",
            &[b"\x02\x02\x08\x01", b"\x02\x09a"],
            13,
        ),
        (
            "/test.Streams/Record",
            &[b"\x02\x02\x08\x01", b"\x02\x01\xff"],
            3,
        ),
        (
            "/test.Streams/Record",
            &[b"\x03\x03\x02\x08", b"\x02\x00"],
            13,
        ),
        ("/test.Streams/Chat", &[b"\x02\x09a"], 13),
        // Larger than the server's limit: refused at its first frame.
        (
            "/test.Streams/Record",
            &[b"\x03\x05\x80\x80\x80\x04\x08"],
            8,
        ),
    ] {
        let answer = answer(path, frames, true).await;
        assert_eq!(
            trailer_code(&answer),
            code,
            "{path} {frames:02x?} {answer:02x?}"
        );
    }
}

#[tokio::test]
async fn a_message_that_does_not_arrive_fails_its_stream_and_no_other() {
    let limits = Limits::default().assembly_stall(Duration::from_millis(20));
    let server = Server::builder()
        .limits(limits)
        .add_service(Streams::new())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addrs().next().unwrap().to_string();
    let serving = tokio::spawn(server.serve());
    let client = Core::builder(address.parse().unwrap());
    let client = client.connect().await.unwrap();
    for path in ["/test.Streams/Record", "/test.Streams/Chat"] {
        // A megabyte is announced, and two bytes come.
        let begun = answer_of(&client, path, &[b"\x03\x05\x80\x80\x40\x08\x01"], false);
        assert_eq!(trailer_code(&begun.await), 4);
    }
    let whole = answer_of(
        &client,
        "/test.Streams/Record",
        &[b"\x02\x02\x08\x01"],
        true,
    )
    .await;
    assert!(whole.windows(4).any(|record| record == b"\x02\x02\x08\x01"));
    serving.abort();
}

#[tokio::test]
async fn messages_may_span_frames_and_share_them() {
    let answer = answer(
        "/test.Streams/Record",
        &[
            b"\x02\x02\x08\x01\x03\x02\x02\x08",
            b"\x04\x01\x02\x02\x02\x08\x03\x03\x03\x02\x08\x04",
        ],
        true,
    )
    .await;
    // HEAD, then the sum, then TRAILER.
    assert!(
        answer.windows(4).any(|bytes| bytes == b"\x02\x02\x08\x0a"),
        "{answer:02x?}"
    );
}

static RELAY: MethodDescriptor = MethodDescriptor::new(
    "/test.Relay/List",
    MethodKind::ServerStreaming,
    Idempotency::Unknown,
);

/// Passes a stream on, as a gateway does.
#[derive(Clone)]
struct Relay(Methods);

impl Relay {
    fn new(next: Client<Channel>) -> Self {
        let methods = Methods::builder("test.Relay").server_streaming(
            &RELAY,
            move |request: Request<String>, out: Sender<String>| {
                let next = next.clone();
                async move {
                    let mut answers = next.list(request.into_inner()).await?.into_inner();
                    while let Some(answer) = answers.message().await? {
                        out.send(answer).await?;
                    }
                    Ok(())
                }
            },
        );
        Self(methods.build())
    }
}

impl NamedService for Relay {
    const NAME: &'static str = "test.Relay";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_passes_on_answers_failures_deadlines_and_the_end_of_interest() {
    let streams = Streams::new();
    let relay = Relay::new(in_memory(&streams).await);
    let server = Server::builder()
        .add_service(relay)
        .bind("memory://relay")
        .await
        .unwrap();
    tokio::spawn(server.serve());
    let channel = Channel::connect("memory://relay").await.unwrap();
    let list = async |request: Request<String>| {
        iip_rpc::codegen::server_streaming::<_, _, String>(&channel, &RELAY, request)
            .await
            .map(iip_rpc::Response::into_inner)
    };
    assert_eq!(
        all(list(command("count 500")).await.unwrap()).await.0,
        numbers(500)
    );
    let (messages, end) = all(list(command("fail 2")).await.unwrap()).await;
    assert_eq!(messages, numbers(2));
    assert_eq!(end.unwrap_err().message(), "no more");
    let request = command("wait 2").with_timeout(Duration::from_millis(50));
    let (_, end) = all(list(request).await.unwrap()).await;
    assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
    idle(&streams.1).await;
    let mut answers = list(command("wait 2")).await.unwrap();
    answers.message().await.unwrap();
    drop(answers);
    idle(&streams.1).await;
    assert_eq!(Arc::strong_count(&streams.1), 4);
}

/// A service around another that waits before it calls, as one that limits or checks calls would.
#[derive(Clone)]
struct Late(Streams);

impl iip_rpc::RpcService for Late {
    async fn call(
        &self,
        request: Request<iip_rpc::Body>,
    ) -> Result<iip_rpc::Response<iip_rpc::Body>, Status> {
        tokio::task::yield_now().await;
        self.0.call(request).await
    }
}

#[tokio::test]
async fn a_call_begins_when_what_is_around_the_service_lets_it() {
    let client = Client(Late(Streams::new()));
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    out.send("a".to_owned()).await.unwrap();
    assert_eq!(notes.message().await.unwrap().as_deref(), Some("a"));
    drop(out);
    assert_eq!(notes.message().await.unwrap_err().code(), Code::Cancelled);
}

#[tokio::test]
async fn a_stream_that_always_has_something_lets_others_run() {
    let client = Client(Streams::new());
    let answers = client.list(command("count 100000000")).await;
    let mut answers = answers.unwrap().into_inner();
    let other = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&other);
    tokio::spawn(async move { set.store(true, Ordering::SeqCst) });
    while !other.load(Ordering::SeqCst) {
        answers.message().await.unwrap();
    }
}

/// Waits until nothing goes on any more: virtual time passes only then.
async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_waits_for_a_client_that_does_not_read() {
    let streams = Streams::new();
    let client = in_memory(&streams).await;
    let mut answers = client
        .list(command("count 1000000"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answers.message().await.unwrap().as_deref(), Some("0"));
    quiet().await;
    let sent = streams.1.sent.load(Ordering::SeqCst);
    // A window of messages that cost about 70 each, and 64 KiB of their records, about 7 bytes each.
    assert!(sent < 12_000, "{sent}");
    quiet().await;
    assert_eq!(streams.1.sent.load(Ordering::SeqCst), sent);
    // Other calls of the connection go on, and this one as soon as it is read.
    assert_eq!(client.one(7).await.unwrap(), 7);
    for text in numbers(5000).into_iter().skip(1) {
        assert_eq!(answers.message().await.unwrap(), Some(text));
    }
    drop(answers);
    idle(&streams.1).await;
    assert_eq!(client.one(8).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_a_handler_that_does_not_read() {
    let streams = Streams::new();
    let client = in_memory(&streams).await;
    let (out, mut notes) = client.chat(Request::new(())).await.unwrap();
    // The handler answers each, and stops reading when nobody reads its answers.
    let mut sent = 0;
    loop {
        while out.try_send(sent.to_string()).is_ok() {
            sent += 1;
        }
        let before = sent;
        quiet().await;
        if out.try_send(sent.to_string()).is_ok() {
            sent += 1;
        }
        if sent == before {
            break;
        }
    }
    // Windows grow while the handler reads: to 4 MiB at most.
    assert!(sent < 100_000, "{sent}");
    assert_eq!(client.one(7).await.unwrap(), 7);
    for text in numbers(sent) {
        assert_eq!(notes.message().await.unwrap(), Some(text));
    }
    out.finish().await.unwrap();
    assert_eq!(notes.message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_large_message_to_a_client_that_does_not_read_waits_and_arrives() {
    let streams = Streams::new();
    let client = in_memory(&streams).await;
    let size = 3_000_000;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let answers = client.list(command(format!("size {size}"))).await.unwrap();
        stalled.push(answers.into_inner());
    }
    quiet().await;
    assert_eq!(client.one(7).await.unwrap(), 7);
    for mut answers in stalled {
        let message = answers.message().await.unwrap().unwrap();
        assert_eq!(message.len(), size);
        assert_eq!(answers.message().await.unwrap(), None);
    }
}

#[tokio::test]
async fn calls_given_up_at_any_moment_leave_nothing_behind() {
    let streams = Streams::new();
    let client = over_tcp(&streams).await;
    for round in 0..300usize {
        let turns = round % 7;
        let list = client.list(command("wait 100"));
        let chat = async {
            let (out, mut notes) = client.chat(Request::new(())).await?;
            for text in numbers(turns) {
                out.send(text).await?;
            }
            notes.message().await
        };
        let record = async {
            let (out, reply) = client.record(Request::new(())).await?;
            out.send(1).await?;
            reply.await
        };
        let give_up = async {
            for _ in 0..round % 11 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = give_up => {}
            _ = list, if round % 3 == 0 => {}
            _ = chat, if round % 3 == 1 => {}
            _ = record, if round % 3 == 2 => {}
        }
    }
    assert_eq!(client.one(7).await.unwrap(), 7);
    idle(&streams.1).await;
}
