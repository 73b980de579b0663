//! The statistics paths: their shapes, their figures, and who is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use iip_core::server::{HandlerError, Incoming, Server, StatisticsAccess, handler_fn};
use tokio::net::TcpStream;

use crate::peer::{Peer, frame, text};
use crate::running::{Running, echo, eventually, limited};

/// Replaces every number by `N`, but those that are keys or addresses.
fn shape(text: &str) -> String {
    let mut out = String::new();
    let mut in_string = false;
    for character in text.chars() {
        in_string ^= character == '"';
        if character.is_ascii_digit() && !in_string {
            if !out.ends_with('N') {
                out.push('N');
            }
        } else {
            out.push(character);
        }
    }
    out
}

const COUNT: &str = r#"{"PacketsSent":N,"PacketReceived":N,"WholePacketSent":N,"WholePacketReceived":N,"BytesSent":N,"BytesReceived":N}"#;

fn count(sent: (u64, u64, u64), received: (u64, u64, u64)) -> String {
    format!(
        r#"{{"PacketsSent":{},"PacketReceived":{},"WholePacketSent":{},"WholePacketReceived":{},"BytesSent":{},"BytesReceived":{}}}"#,
        sent.0, received.0, sent.1, received.1, sent.2, received.2
    )
}

async fn ask(peer: &mut Peer<TcpStream>, channel: u32, path: &str, data: &str) -> String {
    peer.send(&frame(1, path, channel, data)).await;
    let mut answer = String::new();
    loop {
        let frame = limited(peer.expect()).await;
        answer.push_str(&text(&frame));
        if frame.kind().is_last() {
            return answer;
        }
    }
}

async fn plain(running: &Running) -> Peer<TcpStream> {
    Peer::connect(&running.address).await
}

#[tokio::test]
async fn the_figures_of_a_known_conversation_are_right() {
    let builder = echo().handler(
        "/fail",
        handler_fn(|_: Incoming| async { Err::<Bytes, _>(HandlerError::new("no")) }),
    );
    let running = Running::start(builder).await;
    let mut peer = plain(&running).await;
    ask(&mut peer, 0, "/sys/new_channel", "{}").await;
    assert_eq!(ask(&mut peer, 1, "/echo", "hello").await, "hello");
    // One message of three frames.
    peer.send(&frame(0, "/echo", 1, "ab")).await;
    peer.send(&frame(2, "/echo", 1, "cd")).await;
    assert_eq!(ask_last(&mut peer).await, "abcdef");
    let failed = ask(&mut peer, 1, "/fail", "x").await;
    assert_eq!(failed, r#"{"code":-1,"message":"handler fail:no"}"#);
    ask(&mut peer, 1, "/unknown", "x").await;
    // A header with /echo is 15 bytes.
    let expected = count((2, 2, 30 + 11), (4, 2, 60 + 11));
    assert_eq!(
        ask(&mut peer, 0, "/sys/path_count", "/echo").await,
        expected
    );
    let expected = count((1, 1, 15 + 39), (1, 1, 16));
    assert_eq!(
        ask(&mut peer, 0, "/sys/path_count", "/fail").await,
        expected
    );

    let sent = 5 + 2;
    let received = 1 + 4 + 1 + 1 + 2 + 1;
    let total = ask(&mut peer, 0, "/sys/server_count", "{}").await;
    assert_eq!(shape(&total), COUNT);
    let frames = format!(
        r#"{{"PacketsSent":{sent},"PacketReceived":{received},"WholePacketSent":{sent},"WholePacketReceived":{}"#,
        sent + 1
    );
    assert!(total.starts_with(&frames), "{total}");
    drop(peer);
    running.stop().await;
}

async fn ask_last(peer: &mut Peer<TcpStream>) -> String {
    peer.send(&frame(3, "/echo", 1, "ef")).await;
    text(&limited(peer.expect()).await)
}

#[tokio::test]
async fn the_shapes_are_the_references() {
    let running = Running::start(echo()).await;
    let mut peer = plain(&running).await;
    ask(&mut peer, 0, "/sys/new_channel", "{}").await;
    ask(&mut peer, 1, "/echo", "hello").await;

    let ranges = format!(
        r#"{{"range_count":[{}]}}"#,
        [r#"{"Duration":N,"Count":N}"#; 8].join(",")
    );
    let list = |item: &str| vec![item; 301].join(",");
    let measure = format!(
        r#"{{"five_minute_requests":[{n}],"five_minute_duration":[{n}],"all_requests":N,"all_duration":N,"five_minute_timecount":[{}],"all_timecount":{ranges}}}"#,
        list(&ranges),
        n = list("N")
    );
    for (path, data) in [("server_measure", "{}"), ("path_measure", "/echo")] {
        let answer = ask(&mut peer, 1, &format!("/sys/{path}"), data).await;
        assert_eq!(shape(&answer), measure);
    }
    let answer = ask(&mut peer, 1, "/sys/path_measure", "/echo").await;
    assert!(answer.contains(r#""all_requests":1,"#), "{answer}");
    for path in ["path_count", "path_measure"] {
        for unknown in ["/nonexist", "/sys/server_count", "\u{fffd}"] {
            let answer = ask(&mut peer, 1, &format!("/sys/{path}"), unknown).await;
            let expected =
                format!(r#"{{"code":-1,"message":"handler fail:path [/sys/{path}] not support"}}"#);
            assert_eq!(answer, expected);
        }
    }
    let answer = ask(&mut peer, 1, "/sys/statis", "no json").await;
    let lines: Vec<_> = answer.lines().collect();
    assert!(lines[0].starts_with(r#"total count: {"PacketsSent":"#));
    assert_eq!(lines[1], "total measure: ");
    assert!(lines[3].starts_with("5 minute requests     : "), "{answer}");
    assert!(answer.contains("\n-----------------------------------\n/echo count: {"));
    assert!(answer.contains("\n/echo measure: \n"));

    let answer = ask(&mut peer, 1, "/sys/connection_statis", "{}").await;
    let shape = shape(&answer);
    let (_, after) = shape.split_once("\":").expect("an address");
    let expected = format!(
        r#"{{"Channels":{{"0":{{"ReceiveQueue":N,"Count":{COUNT}}},"1":{{"ReceiveQueue":N,"Count":{COUNT}}}}},"WriteQueue":N,"Count":{COUNT}}}}}"#
    );
    assert_eq!(after, expected);
    // As the reference counts: the request that asks is received, its answer not sent yet.
    let zero = count((1, 1, 51), (1, 1, 28));
    assert!(
        answer.contains(&format!(r#""0":{{"ReceiveQueue":0,"Count":{zero}}}"#)),
        "{answer}"
    );
    drop(peer);
    running.stop().await;
}

#[tokio::test]
async fn a_native_peer_is_counted_and_answered_too() {
    let server = echo().bind("127.0.0.1:0").await.unwrap();
    let statistics = server.statistics();
    let address = server.local_addr().unwrap().clone();
    let serving = tokio::spawn(server.serve());
    let client = iip_core::client::Client::builder(address)
        .connect()
        .await
        .unwrap();
    for _ in 0..100 {
        limited(client.call("/echo", Bytes::from_static(b"hi")))
            .await
            .unwrap();
    }
    let figures = statistics.path("/echo").unwrap();
    assert_eq!(figures.traffic.messages_received, 100);
    assert_eq!(figures.traffic.messages_sent, 100);
    assert_eq!(figures.durations.calls(), 100);
    assert!(figures.durations.nanos() > 0);
    let recent: u64 = figures.recent().iter().map(|second| second.calls()).sum();
    assert_eq!(recent, 100);
    let open = statistics.connections(10);
    assert_eq!(open.len(), 1);
    // And after the connection is gone.
    drop(client);
    eventually("closed", || statistics.connections(10).is_empty()).await;
    assert_eq!(statistics.path("/echo").unwrap().traffic, figures.traffic);
    assert!(statistics.path("/sys/statis").is_none());
    serving.abort();
}

#[tokio::test]
async fn who_may_not_ask_gets_what_an_unknown_path_gets() {
    let refused = r#"{"code":102,"message":"handle error"}"#;
    for (access, answered) in [
        (StatisticsAccess::default(), true),
        (StatisticsAccess::nobody(), false),
        (StatisticsAccess::everybody(), true),
    ] {
        let running = Running::start(echo().statistics(access)).await;
        let mut peer = plain(&running).await;
        for path in [
            "server_count",
            "server_measure",
            "path_count",
            "path_measure",
            "statis",
            "connection_statis",
        ] {
            let answer = ask(&mut peer, 0, &format!("/sys/{path}"), "/echo").await;
            assert_eq!(answer != refused, answered, "{path}");
        }
        drop(peer);
        running.stop().await;
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let access = StatisticsAccess::only(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    });
    let fallback = handler_fn(|_: Incoming| async { Ok(Bytes::from_static(b"fallback")) });
    let running = Running::start(echo().fallback(fallback).statistics(access)).await;
    let mut peer = plain(&running).await;
    for _ in 0..2 {
        assert_eq!(ask(&mut peer, 0, "/sys/statis", "{}").await, "fallback");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    drop(peer);
    running.stop().await;
}

#[tokio::test]
async fn a_statistics_path_is_not_the_users() {
    let handler = handler_fn(|_: Incoming| async { Ok(Bytes::new()) });
    let built = Server::builder()
        .handler("/sys/statis", handler)
        .bind("127.0.0.1:0")
        .await;
    assert!(built.is_err());
}
