//! Our server behind the reference's client.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iip_core::server::{HandlerError, Incoming, handler_fn};
use iip_rpc::bytes::Bytes;
use iip_rpc::prost::Message;
use iip_rpc::server::ServerBuilder;
use iip_rpc::{Code, Server, iip_core, tokio};
use iip_tests::interop::TestService;
use iip_tests::interop::proto::{FailWith, InteropServer, Payload, UnaryReply, UnaryRequest};
use iip_tests::reference::{Frame, MAX_DATA};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::running::{Ours, Peer, eventually, limited, text};

const EMPTY: &[u8] = b"\xc0\xa3\x09\x00";

fn echo() -> ServerBuilder {
    let echo = handler_fn(|request: Incoming| async { Ok(request.into_data()) });
    Server::builder().handler("/echo", echo)
}

/// An echo server whose `/held` answers when it is let.
fn held() -> (ServerBuilder, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let pass = Arc::clone(&gate);
    let held = handler_fn(move |request: Incoming| {
        let pass = Arc::clone(&pass);
        async move {
            pass.acquire().await.expect("a gate").forget();
            Ok(request.into_data())
        }
    });
    (echo().handler("/held", held), gate)
}

/// How the emulated client may be late without anything being lost.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn typed_methods_are_called_with_protobuf_alone() {
    let service = InteropServer::new(TestService::default());
    let server = Ours::start(Server::builder().add_service(service)).await;
    let channel = server.channel().await;
    let call = async |method: &str, data: &[u8]| {
        let path = format!("/interop.Interop/{method}");
        let answer = channel.request(&path, data, LONG).await;
        answer.expect("an answer")
    };
    for empty in [EMPTY, b"{}"] {
        assert_eq!(call("Empty", empty).await, EMPTY);
    }
    let mut request = UnaryRequest {
        payload: Some(Payload {
            body: Bytes::from_static(&[0, 1, 2]),
        }),
        reply_size: 4,
        ..UnaryRequest::default()
    };
    let answer = call("Unary", &request.encode_to_vec()).await;
    let answer = UnaryReply::decode(&*answer).expect("a message");
    assert_eq!(answer.payload.unwrap_or_default().body, &[0, 1, 2, 3][..]);
    request.fail_with = Some(FailWith {
        code: Code::NotFound as i32,
        message: "nothing \"here\"\u{1b}".into(),
    });
    assert_eq!(
        String::from_utf8_lossy(&call("Unary", &request.encode_to_vec()).await),
        r#"{"code":-1,"message":"handler fail:NOT_FOUND: nothing \"here\"\u001b"}"#
    );
    for streaming in ["Download", "Upload", "Exchange"] {
        let answer = call(streaming, EMPTY).await;
        let expected = &br#"{"code":-1,"message":"handler fail:UNIMPLEMENTED: "#[..];
        assert!(answer.starts_with(expected));
    }
    let nobody = br#"{"code":102,"message":"handle error"}"#;
    assert_eq!(call("Missing", EMPTY).await, nobody);
    // A client that asked would learn that this is no Go server; one that does not stays plain.
    assert_eq!(
        call("Empty", &[0x0f, 0, 0, 0]).await[..10],
        br#"{"code":-1"#[..]
    );
}

#[tokio::test]
async fn failures_have_the_references_shapes() {
    let builder = echo()
        .handler("/empty", handler_fn(|_| async { Ok(Bytes::new()) }))
        .handler(
            "/fail",
            handler_fn(|_| async { Err(HandlerError::new("boom")) }),
        )
        .handler("/panic", handler_fn(|_| async { panic!("on purpose") }));
    let server = Ours::start(builder).await;
    let channel = server.channel().await;
    for (path, answer) in [
        ("/empty", r#"{"code":101,"message":"handle no response"}"#),
        ("/fail", r#"{"code":-1,"message":"handler fail:boom"}"#),
        ("/panic", r#"{"code":101,"message":"handle no response"}"#),
        ("/nobody", r#"{"code":102,"message":"handle error"}"#),
        ("/sys/nobody", r#"{"code":102,"message":"handle error"}"#),
        ("/sys/hello", r#"{"code":102,"message":"handle error"}"#),
        ("/ec%68o", r#"{"code":102,"message":"handle error"}"#),
    ] {
        let got = channel.request(path, "x", LONG).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&got), answer, "{path}");
    }
}

/// The client looks handlers up by the path of an answer: it is the request's, without its query, and not decoded.
#[tokio::test]
async fn answers_carry_the_path_without_its_query() {
    let query = handler_fn(|request: Incoming| async move {
        let value = request.path().query_value("name").unwrap_or_default();
        Ok(Bytes::from(value.into_owned()))
    });
    let server = Ours::start(echo().handler("/query", query)).await;
    let client = server.client().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let seeing = Arc::clone(&seen);
    client.on_path("/query", move |data, completed| {
        assert!(completed);
        assert_eq!(data, b"a b/c");
        seeing.fetch_add(1, Ordering::Relaxed);
    });
    let channel = client.new_channel().await.expect("a channel");
    let answer = channel
        .request("/query?name=a%20b/c&other=1", "x", LONG)
        .await;
    assert_eq!(answer, Ok("a b/c".into()));
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

/// The client counts its channels by itself, and gives numbers back without a word.
#[tokio::test]
async fn any_number_up_to_what_was_granted_may_be_used() {
    let server = Ours::start(echo()).await;
    let client = server.client().await;
    let mut channels = Vec::new();
    for _ in 0..3 {
        channels.push(client.new_channel().await.expect("a channel"));
    }
    for round in 0..50 {
        channels.remove(0).close();
        let channel = client.new_channel().await.expect("a channel");
        assert!(channel.id() <= 3);
        let text = format!("round {round}");
        assert_eq!(
            channel.request("/echo", &*text, LONG).await,
            Ok(text.into())
        );
        channels.push(channel);
    }
    assert_eq!(
        client.channel_zero().request("/echo", "zero", LONG).await,
        Ok("zero".into())
    );
}

/// G32: a deletion is answered, and its channel, also channel 0, can be used on.
#[tokio::test]
async fn a_deleted_channel_begins_anew() {
    let server = Ours::start(echo()).await;
    let mut peer = Peer::of(server.io().await);
    peer.open_channels([1, 2]).await;
    for channel in [2, 0] {
        assert_eq!(
            peer.call("/sys/delete_channel", channel, "{}").await,
            r#"{"code":0}"#
        );
        assert_eq!(peer.call("/echo", channel, "again").await, "again");
    }
    peer.open_channels([3]).await;
}

/// Channels are granted within the second that the client waits, however busy the handlers are.
#[tokio::test(start_paused = true)]
async fn channels_are_granted_while_every_handler_is_busy() {
    let (builder, gate) = held();
    let server = Ours::start(builder).await;
    let client = server.client().await;
    let mut calls = JoinSet::new();
    for number in 0..200 {
        let channel = client.new_channel().await.expect("a channel");
        let text = number.to_string();
        calls.spawn(async move { (channel.request("/held", &*text, LONG).await, text) });
    }
    gate.add_permits(200);
    while let Some(call) = calls.join_next().await {
        let (answer, text) = call.expect("no panic");
        assert_eq!(answer, Ok(text.into()));
    }
}

/// G3, G21: more requests on one channel than any queue holds are all answered, in their order.
#[tokio::test]
async fn many_requests_may_wait_on_one_channel() {
    let (builder, gate) = held();
    let server = Ours::start(builder).await;
    let channel = server.channel().await;
    let mut calls = JoinSet::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    for number in 0..150u32 {
        let (channel, order) = (channel.clone(), Arc::clone(&order));
        calls.spawn(async move {
            let answer = channel.request("/held", number.to_string(), LONG).await;
            assert_eq!(answer, Ok(number.to_string().into()));
            order.lock().expect("a list").push(number);
        });
        tokio::task::yield_now().await;
    }
    gate.add_permits(150);
    while let Some(call) = calls.join_next().await {
        call.expect("no panic");
    }
    assert_eq!(order.lock().expect("a list").len(), 150);
}

/// A client that gave up gets its answer late, and the next one is not mixed up with it.
#[tokio::test(start_paused = true)]
async fn a_late_answer_leaves_the_next_call_alone() {
    let (builder, gate) = held();
    let server = Ours::start(builder).await;
    let channel = server.channel().await;
    let late = channel.request("/held", "late", Duration::ZERO).await;
    assert_eq!(late, Err("request timeout".into()));
    let (answer, ()) = tokio::join!(channel.request("/echo", "next", LONG), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.add_permits(1);
    });
    assert_eq!(answer, Ok("next".into()));
}

/// The channels that an application holds would be dead for ever, and it would not notice.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_ever() {
    let server = Ours::start(echo()).await;
    let client = server.client().await;
    let channel = client.new_channel().await.expect("a channel");
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        assert_eq!(
            channel.request("/echo", "x", Duration::ZERO).await,
            Ok("x".into())
        );
    }
    assert!(!client.is_closed());
}

/// G6: up to 16 MiB are one frame, since handlers of the client may not expect parts; more are several.
#[tokio::test]
async fn only_what_no_frame_can_hold_comes_in_several() {
    let large = handler_fn(|request: Incoming| async move {
        let length = std::str::from_utf8(request.data())
            .ok()
            .and_then(|text| text.parse().ok());
        Ok(Bytes::from(vec![7; length.unwrap_or(0)]))
    });
    let server = Ours::start(echo().handler("/large", large)).await;
    let client = server.client().await;
    let frames = Arc::new(AtomicUsize::new(0));
    for path in ["/large", "/echo"] {
        let frames = Arc::clone(&frames);
        client.on_path(path, move |_, _| {
            frames.fetch_add(1, Ordering::Relaxed);
        });
    }
    let channel = client.new_channel().await.expect("a channel");
    for (length, expected) in [(MAX_DATA, 1), (MAX_DATA + 1, 2), (40_000_000, 3)] {
        let answer = channel.request("/large", length.to_string(), LONG).await;
        assert!(answer.expect("an answer") == vec![7; length]);
        assert_eq!(frames.swap(0, Ordering::Relaxed), expected, "{length}");
    }
    let request = vec![3; MAX_DATA];
    let answer = channel.request("/echo", request.clone(), LONG).await;
    assert!(answer.expect("an answer") == request);
    assert_eq!(frames.load(Ordering::Relaxed), 1);
}

/// G7: a handler sees a request once, when it is whole, and the client gets one answer.
#[tokio::test]
async fn a_request_of_several_frames_is_handled_once() {
    let server = Ours::start(echo()).await;
    let mut peer = Peer::of(server.io().await);
    peer.open_channels([1]).await;
    for (kind, data) in [(0, "a"), (2, "b"), (3, "c")] {
        peer.send_frame(kind, "/echo?x=1", 1, data).await;
    }
    assert_eq!(peer.expect().await, Frame::new(5, "/echo", 1, "abc"));
    for (kind, data) in [(0, "{"), (3, "}")] {
        peer.send_frame(kind, "/sys/new_channel", 0, data).await;
    }
    assert_eq!(text(&peer.expect().await), r#"{"code":0,"channel_id":2}"#);
    assert_eq!(peer.call("/echo", 2, "next").await, "next");
}

/// G9: what was accepted is answered before the connection ends, and then it ends without kind 8.
#[tokio::test(start_paused = true)]
async fn a_server_that_stops_answers_first() {
    let (builder, gate) = held();
    let mut server = Ours::start(builder).await;
    let client = server.client().await;
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let channel = client.new_channel().await.expect("a channel");
        let text = number.to_string();
        calls.spawn(async move { (channel.request("/held", &*text, LONG).await, text) });
    }
    let idle = client.new_channel().await.expect("a channel");
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Until then the connection works on.
    assert_eq!(idle.request("/echo", "x", LONG).await, Ok("x".into()));
    gate.add_permits(20);
    while let Some(call) = calls.join_next().await {
        let (answer, text) = call.expect("no panic");
        assert_eq!(answer, Ok(text.into()));
    }
    assert_eq!(limited(client.ended()).await, "end of stream");
    server.stopped().await;
}

/// G22, G23: a connection leaves nothing behind, and one that is idle has no task but its own.
#[tokio::test]
async fn connections_leave_no_task_behind() {
    let (builder, gate) = held();
    let server = Ours::start(builder).await;
    let mut first = Peer::of(server.io().await);
    assert_eq!(first.call("/echo", 0, "x").await, "x");
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let mut peers = Vec::new();
    for _ in 0..50 {
        let mut peer = Peer::of(server.io().await);
        peer.open_channels(1..=20).await;
        for channel in 1..=20 {
            assert_eq!(peer.call("/echo", channel, "x").await, "x");
        }
        peers.push(peer);
    }
    eventually("one task for each connection", || {
        tasks() == before + peers.len()
    })
    .await;
    for mut peer in peers {
        peer.send_frame(1, "/held", 1, "x").await;
    }
    gate.add_permits(50);
    eventually("no task of a connection", || tasks() == before).await;
}
