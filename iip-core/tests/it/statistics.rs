//! The statistics paths: their shapes, their figures, and who is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use iip_core::server::{HandlerError, Incoming, Server, StatisticsAccess, handler_fn};
use tokio::net::TcpStream;

use crate::peer::{Peer, data, frame, text};
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

#[tokio::test]
async fn a_call_beside_does_not_wait_for_a_statistic() {
    let running = Running::start(echo()).await;
    let mut peer = Peer::plain(&running.address, 2).await;
    let mut both = frame(1, "/sys/server_measure", 1, "{}");
    both.extend(frame(1, "/echo", 2, "hello"));
    peer.send(&both).await;
    // Read in one batch, and the statistic first: it is made where it holds up nobody.
    assert_eq!(text(&limited(peer.expect()).await), "hello");
    assert!(text(&limited(peer.expect()).await).starts_with("{\"five_minute"));
    drop(peer);
    running.stop().await;
}

#[tokio::test]
async fn a_request_of_several_frames_has_one_answer() {
    let running = Running::start(echo()).await;
    let mut peer = Peer::plain(&running.address, 1).await;
    assert_eq!(ask(&mut peer, 1, "/echo", "hello").await, "hello");
    for (kind, data) in [(0, "/"), (2, "ec"), (3, "ho")] {
        peer.send(&frame(kind, "/sys/path_count", 1, data)).await;
    }
    let answer = text(&limited(peer.expect()).await);
    assert_eq!(answer, count((1, 1, 20), (1, 1, 20)));
    // No further answer comes before this one's.
    assert_eq!(ask(&mut peer, 1, "/echo", "hello").await, "hello");
    drop(peer);
    running.stop().await;
}

#[tokio::test]
async fn long_messages_of_native_peers_are_counted_frame_by_frame() {
    let server = echo().bind("127.0.0.1:0").await.unwrap();
    let statistics = server.statistics();
    let address = server.local_addr().unwrap().to_string();
    let serving = tokio::spawn(server.serve());
    let mut peer = Peer::native(&address, 2).await;
    let piece = "x".repeat(30_000);
    for kind in [0, 2, 3] {
        peer.send(&frame(kind, "/echo", 2, &piece)).await;
    }
    let (mut frames, mut bytes, mut length) = (0, 0, 0);
    loop {
        let frame = limited(peer.expect()).await;
        let data = data(&frame).len();
        frames += 1;
        bytes += 10 + frame.path().len() as u64 + data as u64;
        length += data;
        if frame.kind().is_last() {
            break;
        }
    }
    assert_eq!(length, 90_000);
    assert!(frames > 1, "{frames}");
    let traffic = statistics.path("/echo").unwrap().traffic;
    assert_eq!((traffic.frames_received, traffic.messages_received), (3, 1));
    assert_eq!(traffic.bytes_received, 3 * 30_015);
    assert_eq!((traffic.frames_sent, traffic.messages_sent), (frames, 1));
    assert_eq!(traffic.bytes_sent, bytes);
    // Channel 1 has the connection's events.
    let open = statistics.connections(1).remove(0);
    let channel = open.channels.iter().find(|of| of.channel == 2).unwrap();
    assert_eq!(channel.traffic, traffic);
    let sum: u64 = open.channels.iter().map(|of| of.traffic.bytes_sent).sum();
    assert_eq!(sum, open.traffic.bytes_sent);
    assert_eq!(open.traffic, statistics.total().traffic);
    serving.abort();
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_of_this_machine() {
    let path = std::env::temp_dir().join(format!("iip-statistics-{}", std::process::id()));
    for (access, answered) in [
        (StatisticsAccess::local(), true),
        (StatisticsAccess::nobody(), false),
    ] {
        let address = format!("unix://{}", path.display());
        let running = Running::start_on(echo().statistics(access), &address).await;
        let client = running.plain_client().await;
        let answer = limited(client.call("/sys/server_count", "{}")).await;
        let answer = answer.unwrap();
        assert_eq!(answer.starts_with(b"{\"PacketsSent\":"), answered);
        drop(client);
        running.stop().await;
    }
}

#[tokio::test]
async fn many_connections_are_listed_oldest_first() {
    const CONNECTIONS: usize = 300;
    let server = echo().bind("memory://statistics-many").await.unwrap();
    let statistics = server.statistics();
    let address = server.local_addr().unwrap().clone();
    let serving = tokio::spawn(server.serve());
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = iip_core::client::Client::builder(address.clone());
        let client = client.connect().await.unwrap();
        limited(client.call("/echo", "hi")).await.unwrap();
        clients.push(client);
    }
    let open = statistics.connections(usize::MAX);
    assert_eq!(open.len(), CONNECTIONS);
    assert!(open.is_sorted_by_key(|connection| connection.id));
    assert_eq!(statistics.connections(7).len(), 7);
    assert_eq!(statistics.connections(7)[6].id, open[6].id);
    let echoed = statistics.path("/echo").unwrap();
    assert_eq!(echoed.durations.calls(), CONNECTIONS as u64);
    let sum: u64 = open
        .iter()
        .map(|connection| connection.traffic.bytes_received)
        .sum();
    assert_eq!(statistics.total().traffic.bytes_received, sum);
    let answer = limited(clients[0].call("/sys/connection_statis", "{}")).await;
    let answer = String::from_utf8(answer.unwrap().to_vec()).unwrap();
    assert_eq!(answer.matches("\"Channels\":").count(), CONNECTIONS);
    assert_eq!(statistics.load().handlers, 0);
    serving.abort();
}

/// 27 bytes ask for 67,000: what is asked for and not read must not be made.
#[tokio::test]
async fn who_asks_and_does_not_read_gets_no_further() {
    const ASKED: usize = 1000;
    let server = echo().bind("127.0.0.1:0").await.unwrap();
    let statistics = server.statistics();
    let address = server.local_addr().unwrap().to_string();
    let serving = tokio::spawn(server.serve());
    let mut peer = Peer::plain(&address, 1).await;
    let request = frame(1, "/sys/server_measure", 1, "{}");
    peer.send(request.repeat(ASKED)).await;
    let answered = || statistics.total().traffic.messages_sent;
    let (mut before, mut same) = (0, 0);
    eventually("it is left unread", || {
        let now = answered();
        same = if now == before && now > 10 {
            same + 1
        } else {
            0
        };
        before = now;
        same > 100
    })
    .await;
    // More than 35 MB would be neither in the server's buffers nor in those of the two sockets.
    assert!(answered() < 600, "{}", answered());
    // Others are served meanwhile, and it gets the rest when it reads.
    let mut other = Peer::plain(&address, 1).await;
    assert_eq!(ask(&mut other, 1, "/echo", "hello").await, "hello");
    for _ in 0..ASKED {
        let answer = text(&limited(peer.expect()).await);
        assert!(answer.starts_with("{\"five_minute"));
    }
    serving.abort();
}
