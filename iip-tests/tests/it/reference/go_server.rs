//! Our client in front of the reference's server.

use std::time::Duration;

use iip_core::client::Client;
use iip_core::{ErrorKind, Outcome};
use iip_rpc::bytes::Bytes;
use iip_rpc::prost::Message;
use iip_rpc::{Code, Request, iip_core, tokio};
use iip_tests::interop::proto::{
    DownloadRequest, InteropClient, Payload, UnaryReply, UnaryRequest,
};
use iip_tests::reference::{MAX_DATA, Server};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::running::{Emulated, Ours, Peer, echo, eventually, held, limited, text};

async fn call(client: &Client, path: &'static str, data: &str) -> String {
    let answer = limited(client.call(path, data.to_owned())).await;
    String::from_utf8(answer.expect("an answer").into()).expect("text")
}

/// A server of some methods, as one would write it with the reference and protobuf.
fn methods() -> Server {
    echo()
        .handle("/interop.Interop/Empty", |call| async move {
            match &call.data[..] {
                b"\xc0\xa3\x09\x00" => Ok(b"{}".to_vec()),
                other => Err(format!("{other:?}")),
            }
        })
        .handle("/interop.Interop/Unary", |call| async move {
            let request = UnaryRequest::decode(&*call.data).map_err(|error| error.to_string())?;
            if let Some(failure) = request.fail_with {
                return Ok(failure.message.into_bytes());
            }
            let reply = UnaryReply {
                payload: request.payload,
                user: String::new(),
            };
            Ok(reply.encode_to_vec())
        })
}

#[tokio::test]
async fn the_server_is_known_by_its_answer_to_the_hello() {
    let emulated = Emulated::start(methods());
    let client = emulated.raw().await;
    assert_eq!(call(&client, "/echo?x=1&y=%20", "raw").await, "raw");
    assert_eq!(emulated.server.observed().calls["/sys/hello"], 1);
    let typed = InteropClient::new(emulated.typed().await);
    let request = UnaryRequest {
        payload: Some(Payload {
            body: Bytes::from_static(b"typed"),
        }),
        ..UnaryRequest::default()
    };
    // Metadata has no place here, and the call is made without.
    let request = Request::new(request).with_metadata("key", "value");
    let reply = typed.unary(request).await.expect("a reply").into_inner();
    assert_eq!(reply.payload.unwrap_or_default().body, "typed");
    let observed = emulated.server.observed();
    assert_eq!((observed.connections, observed.calls["/sys/hello"]), (2, 2));
    // Who knows what the server is does not ask.
    let builder = Client::builder(emulated.address.clone()).plain();
    let client = builder.connect().await.expect("a connection");
    assert_eq!(call(&client, "/echo", "plain").await, "plain");
    assert_eq!(emulated.server.observed().calls["/sys/hello"], 2);
}

/// A message without bytes cannot be a frame, and the server says as little in its own way.
#[tokio::test]
async fn empty_messages_go_there_and_come_back() {
    let emulated = Emulated::start(methods());
    let client = InteropClient::new(emulated.typed().await);
    client.empty(()).await.expect("an answer");
    let reply = client.unary(UnaryRequest::default()).await;
    // The server's reply is empty too: it answers that there is none.
    let status = reply.expect_err("no answer");
    assert_eq!(status.code(), Code::Unknown);
    assert!(status.message().contains("handle no response"), "{status}");
}

#[tokio::test]
async fn error_objects_become_statuses() {
    let emulated = Emulated::start(methods());
    let raw = emulated.raw().await;
    let typed = InteropClient::new(emulated.typed().await);
    for (object, code, message) in [
        (
            r#"{"code":-1,"message":"handler fail:NOT_FOUND: gone: away"}"#,
            Code::NotFound,
            "gone: away",
        ),
        (
            r#"{"code":-1,"message":"handler fail:boom"}"#,
            Code::Unknown,
            "boom",
        ),
        (
            r#"{"code":-1,"message":"handler fail:OK: well"}"#,
            Code::Unknown,
            "OK: well",
        ),
        (
            r#"{"code": -1, "message": "unknown"}"#,
            Code::Unknown,
            "unknown",
        ),
        (
            r#"{"code":101,"message":"handle no response"}"#,
            Code::Unknown,
            "handle no response",
        ),
        (
            r#"{"code":102,"message":"handle error"}"#,
            Code::Unimplemented,
            "handle error",
        ),
        (r#"{"code":105}"#, Code::Unknown, "105"),
        (r#"{"code":109,"message":"x"}"#, Code::Unavailable, "x"),
        (r#"{"code":110,"message":"x"}"#, Code::Unavailable, "x"),
        (
            r#"{"code":111,"message":"x"}"#,
            Code::ResourceExhausted,
            "x",
        ),
        (r#"{"code":112,"message":"x"}"#, Code::Unauthenticated, "x"),
        (r#"{"code":113,"message":"x"}"#, Code::PermissionDenied, "x"),
        (r#"{"code":114,"message":"x"}"#, Code::DeadlineExceeded, "x"),
    ] {
        let mut request = UnaryRequest::default();
        request.fail_with.get_or_insert_default().message = object.into();
        let status = typed.unary(request).await.expect_err(object);
        assert_eq!(status.code(), code, "{object}");
        assert!(status.message().ends_with(message), "{object}: {status}");
        assert_eq!(status.outcome(), None, "{object}: the server has answered");
        // A raw call returns it as the data it is.
        assert_eq!(call(&raw, "/echo", object).await, object);
    }
    assert_eq!(
        call(&raw, "/nobody", "x").await,
        r#"{"code":102,"message":"handle error"}"#
    );
}

#[tokio::test]
async fn methods_that_stream_are_not_called() {
    let emulated = Emulated::start(methods());
    let client = InteropClient::new(emulated.typed().await);
    let status = client.download(DownloadRequest::default()).await;
    let status = status.expect_err("no stream");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    let calls = emulated.server.observed().calls;
    assert!(
        calls.keys().all(|path| path.starts_with("/sys/")),
        "{calls:?}"
    );
}

/// The server's queue holds a hundred frames, and who fills it loses answers.
#[tokio::test]
async fn calls_are_in_lockstep_on_at_most_96_channels() {
    let (server, gate) = held();
    let emulated = Emulated::start(server);
    let builder = Client::builder(emulated.address.clone()).max_connections(2);
    let client = builder.connect().await.expect("a connection");
    let mut calls = JoinSet::new();
    for number in 0..500 {
        let client = client.clone();
        calls.spawn(async move {
            let text = number.to_string();
            assert_eq!(call(&client, "/held", &text).await, text);
        });
    }
    gate.add_permits(500);
    while let Some(call) = calls.join_next().await {
        call.expect("no panic");
    }
    let observed = emulated.server.observed();
    assert_eq!(observed.most_on_channel, 1);
    assert!(observed.most_on_connection <= 100, "{observed:?}");
    assert_eq!((observed.lost, observed.connections), (0, 2));
    // Channels are not given back: nobody would answer.
    assert!(!observed.calls.contains_key("/sys/delete_channel"));
}

#[tokio::test]
async fn every_request_is_one_frame() {
    let emulated = Emulated::start(echo());
    let client = emulated.raw().await;
    let request = Bytes::from(vec![5; MAX_DATA]);
    let answer = limited(client.call("/echo", request.clone())).await;
    assert!(answer.expect("an answer") == request);
    let error = client.call("/echo", vec![5; MAX_DATA + 1]).await;
    let error = error.expect_err("too much");
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Invalid, Outcome::NotSent)
    );
    assert_eq!(call(&client, "/echo", "alive").await, "alive");
    let observed = emulated.server.observed();
    assert_eq!((observed.partial_frames, observed.connections), (0, 1));
}

/// G5, G15: the channel of a call that has timed out is left alone until its late answer has come, and the connection
/// lives.
#[tokio::test(start_paused = true)]
async fn a_late_answer_frees_its_channel_and_reaches_nobody() {
    let (server, gate) = held();
    let emulated = Emulated::start(server);
    let client = emulated.raw().await;
    for round in 0..16 {
        let late = timeout(Duration::from_millis(10), client.call("/held", "late"));
        assert!(late.await.is_err());
        let text = format!("round {round}");
        assert_eq!(call(&client, "/echo", &text).await, text);
    }
    assert_eq!(emulated.server.observed().most_on_channel, 1);
    let channels = emulated.server.observed().calls["/sys/new_channel"];
    gate.add_permits(16);
    for round in 0..100 {
        let text = format!("later {round}");
        assert_eq!(call(&client, "/echo", &text).await, text);
        let late = timeout(Duration::from_millis(10), client.call("/held", "late"));
        assert!(late.await.is_err());
        gate.add_permits(1);
    }
    let observed = emulated.server.observed();
    assert_eq!((observed.most_on_channel, observed.connections), (1, 1));
    assert_eq!(
        observed.calls["/sys/new_channel"], channels,
        "channels are used again"
    );
}

/// Many such channels make the connection useless; it is replaced, and what still runs on it is answered.
#[tokio::test(start_paused = true)]
async fn a_connection_with_many_late_answers_is_replaced() {
    let (server, gate) = held();
    let emulated = Emulated::start(server);
    let client = emulated.raw().await;
    let running = tokio::spawn({
        let client = client.clone();
        async move { call(&client, "/held", "running").await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..17 {
        let late = timeout(Duration::from_millis(10), client.call("/held", "late"));
        assert!(late.await.is_err());
    }
    assert_eq!(call(&client, "/echo", "x").await, "x");
    let connections = || emulated.server.observed().connections;
    eventually("another connection", || connections() == 2).await;
    assert_eq!(call(&client, "/echo", "y").await, "y");
    gate.add_permits(18);
    assert_eq!(limited(running).await.expect("no panic"), "running");
}

/// A refusal of code 106 is no failure: calls share the channels that there are, or other connections.
#[tokio::test]
async fn calls_do_with_the_channels_they_are_granted() {
    let emulated = Emulated::start(echo().channel_limit(3));
    let builder = Client::builder(emulated.address.clone()).max_connections(1);
    let client = builder.connect().await.expect("a connection");
    let mut calls = JoinSet::new();
    for number in 0..100 {
        let client = client.clone();
        calls.spawn(async move {
            let text = number.to_string();
            assert_eq!(call(&client, "/echo", &text).await, text);
        });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("no panic");
    }
    let observed = emulated.server.observed();
    assert_eq!((observed.connections, observed.most_on_channel), (1, 1));
    assert!(observed.calls["/sys/new_channel"] > 3);
}

/// G8: the number that the server granted is used, whatever it is.
#[tokio::test]
async fn the_channel_that_was_granted_is_used() {
    let (mut listener, _) = iip_core::transport::memory_listener();
    let builder = Client::builder(listener.address()).max_connections(1);
    let connecting = tokio::spawn(builder.connect());
    let mut peer = Peer::of(listener.accept().await.into());
    for (path, answer) in [
        ("/sys/hello", r#"{"code":102,"message":"handle error"}"#),
        ("/sys/new_channel", r#"{"code":0,"channel_id":7}"#),
    ] {
        assert_eq!(peer.expect().await.path, path.as_bytes());
        peer.send_frame(5, path, 0, answer).await;
    }
    let client = limited(connecting)
        .await
        .expect("no panic")
        .expect("a connection");
    let calling = tokio::spawn(async move { call(&client, "/echo", "x").await });
    let request = peer.expect().await;
    assert_eq!(
        (request.kind, request.channel, text(&request).as_str()),
        (1, 7, "x")
    );
    peer.send_frame(5, "/echo", 7, "y").await;
    assert_eq!(limited(calling).await.expect("no panic"), "y");
}

/// The server drops its answers as soon as the client has ended its direction.
#[tokio::test(start_paused = true)]
async fn a_client_that_closes_waits_for_its_answers() {
    let (server, gate) = held();
    let emulated = Emulated::start(server);
    let client = emulated.raw().await;
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let client = client.clone();
        calls.spawn(async move {
            let text = number.to_string();
            assert_eq!(call(&client, "/held", &text).await, text);
        });
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    client.close();
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    gate.add_permits(20);
    while let Some(call) = calls.join_next().await {
        call.expect("no panic");
    }
    let ends = || emulated.server.observed().ends;
    eventually("the end of the connection", || ends() == ["end of stream"]).await;
}

/// G16: whoever waits learns at once that the connection is lost.
#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_its_calls_at_once() {
    let (server, _gate) = held();
    let emulated = Emulated::start(server);
    let client = emulated.raw().await;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { client.call("/held", "x").await }
    });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let start = Instant::now();
    emulated.kill();
    let error = limited(calling)
        .await
        .expect("no panic")
        .expect_err("no answer");
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Closed, Outcome::Unknown)
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// What a server is may change from one connection to the next.
#[tokio::test]
async fn each_connection_asks_what_its_server_is() {
    let emulated = Emulated::start(echo());
    let builder = Client::builder(emulated.address.clone()).wait_for_ready();
    let client = builder.connect().await.expect("a connection");
    assert_eq!(
        call(&client, "/echo", "the reference's").await,
        "the reference's"
    );
    let address = emulated.address.to_string();
    emulated.kill();
    let who = iip_core::server::handler_fn(|request: iip_core::server::Incoming| async move {
        Ok(Bytes::from(if request.is_native() {
            "native"
        } else {
            "plain"
        }))
    });
    let ours = iip_rpc::Server::builder().handler("/who", who);
    let _ours = Ours::start_on(ours, &address).await;
    eventually("the end of the connection", || client.connections() == 0).await;
    assert_eq!(call(&client, "/who", "x").await, "native");
}
