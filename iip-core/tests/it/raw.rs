//! Calls without protobuf: whole and frame by frame, in both directions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use iip_core::client::Client;
use iip_core::conn::CallReceiver;
use iip_core::server::{
    FrameReceiver, FrameSender, HandlerError, Incoming, Server, ServerBuilder, StreamHandler,
    handler_fn,
};
use iip_core::session::ErrorReply;
use iip_core::{ErrorKind, Outcome};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::peer::{Peer, frame, text};
use crate::running::{Running, echo, limited, spawn_call};

/// Bytes of which no two stretches are the same.
fn pattern(length: usize) -> Bytes {
    let words = (0..length.div_ceil(4) as u32)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes());
    words.take(length).collect()
}

async fn whole(mut receiver: CallReceiver) -> Bytes {
    let mut data = BytesMut::new();
    while let Some(frame) = limited(receiver.frame()).await.unwrap() {
        data.extend_from_slice(&frame);
    }
    assert_eq!(
        receiver.frame().await.unwrap(),
        None,
        "the end stays the end"
    );
    data.freeze()
}

/// Sends back every frame when it has come.
struct Mirror;

#[async_trait]
impl StreamHandler for Mirror {
    async fn handle(
        &self,
        _: Incoming,
        mut frames: FrameReceiver,
        mut response: FrameSender,
    ) -> Result<(), HandlerError> {
        while let Some(frame) = frames.frame().await? {
            response.send(frame).await?;
        }
        response.finish(Bytes::new()).await
    }
}

/// Answers with as many bytes as the request's text says, in pieces of 16 KiB.
struct Download;

#[async_trait]
impl StreamHandler for Download {
    async fn handle(
        &self,
        _: Incoming,
        mut frames: FrameReceiver,
        mut response: FrameSender,
    ) -> Result<(), HandlerError> {
        let request = frames.whole(100).await?;
        let length: usize = std::str::from_utf8(&request)?.parse()?;
        let mut data = pattern(length);
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(16 * 1024));
            response.send(piece).await?;
        }
        response.finish(Bytes::new()).await
    }
}

/// Tells of each frame it takes, and takes one for each permit.
struct Slow {
    permits: Arc<Semaphore>,
    taken: mpsc::UnboundedSender<usize>,
    /// Answers after so many frames and one more permit, and leaves the rest.
    enough: usize,
    outlives: Duration,
}

#[async_trait]
impl StreamHandler for Slow {
    async fn handle(
        &self,
        _: Incoming,
        mut frames: FrameReceiver,
        response: FrameSender,
    ) -> Result<(), HandlerError> {
        let mut count = 0;
        let mut bytes = 0;
        while count < self.enough {
            self.permits.acquire().await?.forget();
            let Some(frame) = frames.frame().await? else {
                break;
            };
            count += 1;
            bytes += frame.len();
            let _ = self.taken.send(frame.len());
        }
        self.permits.acquire().await?.forget();
        response.finish(format!("{bytes}").into()).await?;
        // The handler outlives its answer, and with it what it has not taken.
        tokio::time::sleep(self.outlives).await;
        Ok(())
    }
}

fn slow(
    enough: usize,
    outlives: Duration,
) -> (
    ServerBuilder,
    Arc<Semaphore>,
    mpsc::UnboundedReceiver<usize>,
) {
    let permits = Arc::new(Semaphore::new(0));
    let (taken, takes) = mpsc::unbounded_channel();
    let handler = Slow {
        permits: Arc::clone(&permits),
        taken,
        enough,
        outlives,
    };
    (echo().stream_handler("/slow", handler), permits, takes)
}

#[tokio::test]
async fn frames_travel_both_ways() {
    let server = Running::start(echo().stream_handler("/mirror", Mirror)).await;
    let client = server.client().await;
    let data = pattern(3_000_000);
    for piece in [1000, 16 * 1024, 100_000] {
        let mut rest = data.clone();
        let first = rest.split_to(piece);
        let (mut sender, receiver) = client.open("/mirror", first, None).await.unwrap();
        let send = async {
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(piece));
                sender.send(piece).await.unwrap();
            }
            sender.finish(Bytes::new()).await.unwrap();
        };
        let (received, ()) = limited(async { tokio::join!(whole(receiver), send) }).await;
        assert!(received == data, "pieces of {piece}");
    }
}

#[tokio::test]
async fn a_handler_sees_frames_before_the_request_is_complete() {
    let (server, permits, mut takes) = slow(usize::MAX, Duration::ZERO);
    let server = Running::start(server).await;
    let client = server.client().await;
    permits.add_permits(100);
    let (mut sender, receiver) = client.open("/slow", "first", None).await.unwrap();
    assert_eq!(limited(takes.recv()).await, Some(5));
    for length in [1, 10, 100] {
        // Each is sent when it is known that another follows.
        sender.send(vec![0; length].into()).await.unwrap();
        sender.send(vec![0; 7].into()).await.unwrap();
        if length > 1 {
            assert_eq!(limited(takes.recv()).await, Some(7));
        }
        assert_eq!(limited(takes.recv()).await, Some(length));
    }
    sender.finish("end".into()).await.unwrap();
    assert_eq!(
        whole(receiver).await,
        (5 + 1 + 10 + 100 + 3 * 7 + 3).to_string()
    );
}

#[tokio::test]
async fn a_request_of_one_frame_reaches_a_handler_of_frames() {
    let server = echo()
        .stream_handler("/mirror", Mirror)
        .stream_handler("/download", Download);
    let server = Running::start(server).await;
    for client in [server.client().await, server.plain_client().await] {
        for _ in 0..3 {
            assert_eq!(client.call("/mirror", "hello").await.unwrap(), "hello");
            assert_eq!(client.call("/download", "5").await.unwrap(), pattern(5));
        }
    }
}

/// Far more than may be queued for one connection: the handler waits for its reader.
#[tokio::test]
async fn a_long_response_waits_for_its_reader() {
    let server = Running::start(echo().stream_handler("/download", Download)).await;
    let client = server.client().await;
    const LENGTH: usize = 24 * 1024 * 1024;
    let (sender, mut receiver) = client.open("/download", "2516", None).await.unwrap();
    // 25165824 together.
    sender.finish("5824".into()).await.unwrap();
    let expected = pattern(LENGTH);
    let mut received = 0;
    while let Some(frame) = limited(receiver.frame()).await.unwrap() {
        assert!(frame == expected[received..received + frame.len()]);
        received += frame.len();
        if received % (4 * 1024 * 1024) < frame.len() {
            assert_eq!(client.call("/echo", "beside").await.unwrap(), "beside");
        }
    }
    assert_eq!(received, LENGTH);
}

/// Far more than a handler may leave lying. The sender waits, and the connection goes on when the handler does.
#[tokio::test]
async fn a_long_request_waits_for_its_handler() {
    let (server, permits, mut takes) = slow(usize::MAX, Duration::ZERO);
    let server = Running::start(server).await;
    let client = server.client().await;
    let data = pattern(12 * 1024 * 1024);
    let mut rest = data.clone();
    let (mut sender, receiver) = client
        .open("/slow", rest.split_to(10_000), None)
        .await
        .unwrap();
    let sent = tokio::spawn(async move {
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(10_000));
            sender.send(piece).await.unwrap();
        }
        sender.finish(Bytes::new()).await.unwrap();
    });
    let mut taken = 0;
    while taken < data.len() {
        permits.add_permits(1);
        taken += limited(takes.recv()).await.unwrap();
        assert!(
            !sent.is_finished() || taken > 2 * 1024 * 1024,
            "nobody waited"
        );
    }
    permits.add_permits(2);
    limited(sent).await.unwrap();
    assert_eq!(whole(receiver).await, data.len().to_string());
}

/// The answer comes before the request is complete, and before the handler has taken what came: the rest is read past,
/// and the connection goes on. In virtual time, since the handler stays for seconds.
#[tokio::test(start_paused = true)]
async fn an_early_answer_leaves_the_rest_of_the_request() {
    let (server, permits, _takes) = slow(0, Duration::from_secs(3));
    let server = Running::start_on(server, "memory://early-answer").await;
    let client = server.client().await;
    for round in 0..3 {
        let (mut sender, receiver) = client.open("/slow", vec![1; 1000], None).await.unwrap();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while sent < 64 * 1024 * 1024 && sender.send(vec![1; 20_000].into()).await.is_ok() {
                sent += 20_000;
            }
            sent
        });
        // More lies there than may, so that the connection is not read any more.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let beside = spawn_call(&client, "/echo", "beside");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!sending.is_finished() && !beside.is_finished());
        let start = Instant::now();
        permits.add_permits(1);
        assert_eq!(whole(receiver).await, "0", "round {round}");
        let sent = limited(sending).await.unwrap();
        assert!((4_000_000..6_000_000).contains(&sent), "{sent}");
        // The connection is read again when the handler has ended, and with it what it left.
        assert_eq!(limited(beside).await.unwrap().unwrap(), "beside");
        assert_eq!(start.elapsed().as_secs(), 3);
        assert_eq!(client.call("/echo", "after").await.unwrap(), "after");
    }
    assert_eq!(client.connections(), 1);
}

/// A response that has begun never ends with an error's text, as if it were complete.
struct BreaksOff {
    panics: bool,
}

#[async_trait]
impl StreamHandler for BreaksOff {
    async fn handle(
        &self,
        _: Incoming,
        _: FrameReceiver,
        mut response: FrameSender,
    ) -> Result<(), HandlerError> {
        response.send("one".into()).await?;
        response.send("two".into()).await?;
        tokio::task::yield_now().await;
        assert!(!self.panics, "on purpose");
        Err(HandlerError::new("broken"))
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_is_not_completed() {
    let server = echo()
        .stream_handler("/fails", BreaksOff { panics: false })
        .stream_handler("/panics", BreaksOff { panics: true });
    let server = Running::start(server).await;
    let client = server.client().await;
    for path in ["/fails", "/panics"] {
        let deadline = Instant::now().into_std() + Duration::from_millis(50);
        let (sender, mut receiver) = client.open(path, "x", Some(deadline)).await.unwrap();
        assert_eq!(limited(receiver.frame()).await.unwrap().unwrap(), "one");
        let error = limited(receiver.frame()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Deadline, Outcome::Unknown)
        );
        drop(sender);
        assert_eq!(client.call("/echo", "beside").await.unwrap(), "beside");
    }
}

/// Returns without an answer.
struct Silent;

#[async_trait]
impl StreamHandler for Silent {
    async fn handle(
        &self,
        _: Incoming,
        _: FrameReceiver,
        _: FrameSender,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

fn failing() -> ServerBuilder {
    echo()
        .handler(
            "/fail",
            handler_fn(|_| async { Err(HandlerError::new("bo\"om")) }),
        )
        .handler(
            "/late",
            handler_fn(|_| async {
                tokio::task::yield_now().await;
                Err(HandlerError::new("late"))
            }),
        )
        .handler("/empty", handler_fn(|_| async { Ok(Bytes::new()) }))
        .handler(
            "/panic",
            handler_fn(|request: Incoming| async move {
                assert!(request.data().is_empty(), "on purpose");
                Ok(Bytes::new())
            }),
        )
        .handler(
            "/panic_late",
            handler_fn(|request: Incoming| async move {
                tokio::task::yield_now().await;
                assert!(request.data().is_empty(), "on purpose");
                Ok(Bytes::new())
            }),
        )
        .stream_handler("/silent", Silent)
}

#[tokio::test]
async fn failures_are_the_references_texts() {
    let server = Running::start(failing()).await;
    let expected = [
        ("/fail", r#"{"code":-1,"message":"handler fail:bo\"om"}"#),
        ("/late", r#"{"code":-1,"message":"handler fail:late"}"#),
        ("/empty", r#"{"code":101,"message":"handle no response"}"#),
        ("/panic", r#"{"code":101,"message":"handle no response"}"#),
        (
            "/panic_late",
            r#"{"code":101,"message":"handle no response"}"#,
        ),
        ("/silent", r#"{"code":101,"message":"handle no response"}"#),
        ("/nobody", r#"{"code":102,"message":"handle error"}"#),
    ];
    for client in [server.client().await, server.plain_client().await] {
        for (path, text) in expected {
            for _ in 0..2 {
                let answer = client.call(path, "x").await.unwrap();
                assert_eq!(answer, text, "{path}");
                assert!(ErrorReply::parse(&answer).is_some());
            }
        }
        assert_eq!(client.call("/echo", "alive").await.unwrap(), "alive");
    }
    let mut peer = Peer::plain(&server.address, 1).await;
    for (path, text) in expected {
        assert_eq!(peer.call(path, 1, "x").await, text, "{path}");
    }
}

#[tokio::test]
async fn the_path_the_query_and_the_peer_reach_the_handler() {
    let handler = handler_fn(|request: Incoming| async move {
        let value = |name| {
            request
                .path()
                .query_value(name)
                .unwrap_or_default()
                .into_owned()
        };
        let text = format!(
            "{} {} {}",
            request.path().path(),
            value("id"),
            value("name")
        );
        Ok(format!("{text} {}", request.peer().address).into())
    });
    let server = Server::builder().handler("/picture/get", handler);
    let server = Running::start(server).await;
    for client in [server.client().await, server.plain_client().await] {
        let path = "/picture/get?id=123&name=a%20b%26c";
        let answer = client.call(path, "x").await.unwrap();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        assert!(
            answer.starts_with("/picture/get 123 a b&c 127.0.0.1:"),
            "{answer}"
        );
    }
    // A plain client's answer carries the path without its query.
    let mut peer = Peer::plain(&server.address, 1).await;
    peer.send(frame(1, "/picture/get?id=7", 1, "x")).await;
    let answer = peer.expect().await;
    assert_eq!(answer.path(), b"/picture/get");
    assert!(text(&answer).starts_with("/picture/get 7 "));
}

#[tokio::test]
async fn large_messages_do_not_hold_up_small_ones() {
    let server = Running::start(echo()).await;
    let client = server.client().await;
    let large = pattern(4 * 1024 * 1024);
    let bulk: Vec<_> = (0..4)
        .map(|_| {
            let (client, large) = (client.clone(), large.clone());
            tokio::spawn(async move {
                for _ in 0..3 {
                    assert!(client.call("/echo", large.clone()).await.unwrap() == large);
                }
            })
        })
        .collect();
    // A task of its own: the future of a test is polled only when the tasks let it.
    let beside = tokio::spawn(async move {
        let mut beside = 0;
        while bulk.iter().any(|task| !task.is_finished()) {
            let answer = limited(client.call("/echo", "small")).await;
            assert_eq!(answer.unwrap(), "small");
            beside += 1;
        }
        for task in bulk {
            task.await.unwrap();
        }
        beside
    });
    let beside = beside.await.unwrap();
    // Behind whole messages there would be one for each round of four large calls, or two.
    assert!(beside > 8, "{beside} small calls beside");
}

async fn is_too_large(client: &Client, length: usize) -> bool {
    let answer = client.call("/echo", vec![1; length]).await.unwrap();
    let refused = ErrorReply::parse(&answer).map(|reply| reply.code);
    assert!(refused.is_none() || refused == Some(ErrorReply::TOO_LARGE));
    refused.is_some()
}

#[tokio::test]
async fn messages_have_a_largest_size_and_a_larger_one_fails_alone() {
    let server = Running::start(echo()).await;
    let native = server.client().await;
    let plain = server.plain_client().await;
    const MIB: usize = 1024 * 1024;
    assert!(!is_too_large(&native, 4 * MIB).await);
    assert!(is_too_large(&native, 4 * MIB + 1).await);
    assert!(!is_too_large(&plain, 16 * MIB).await);
    let error = plain
        .call("/echo", vec![1; 16 * MIB + 1])
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Invalid, Outcome::NotSent)
    );
    for client in [native, plain] {
        assert_eq!(client.call("/echo", "alive").await.unwrap(), "alive");
        assert_eq!(client.connections(), 1);
    }
}

#[tokio::test]
async fn a_response_larger_than_the_client_accepts_fails_alone() {
    let server =
        Running::start(echo().handler("/large", handler_fn(|_| async { Ok(pattern(100_000)) })))
            .await;
    let limits = iip_core::session::Limits::default().max_message(99_999);
    let client = server.builder().limits(limits).connect().await.unwrap();
    let error = client.call("/large", "x").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::TooLarge, Outcome::Unknown)
    );
    assert!(error.to_string().contains("max_message"), "{error}");
    assert_eq!(client.call("/echo", "alive").await.unwrap(), "alive");
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_fails_at_once_and_alone() {
    let server = Running::start(echo()).await;
    let client = server.client().await;
    for path in [
        "", "echo", "/a//b", "/a/../b", "/a\0b", "/a b", "/a%00", "/?q=%00", "/\u{e9}",
    ] {
        let error = client.call(path, "x").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Invalid, Outcome::NotSent),
            "{path:?}"
        );
        assert!(!error.to_string().contains('\0'));
    }
    let error = client.call("/echo", "").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Invalid, Outcome::NotSent)
    );
    assert_eq!(client.call("/echo", "alive").await.unwrap(), "alive");
}
