//! What a server allows, and what it does beyond that.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use iip_core::ErrorKind;
use iip_core::client::Client;
use iip_core::server::{ConnectionLimits, Incoming, handler_fn};
use iip_core::session::ErrorReply;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::{Peer, frame, text};
use crate::running::{Running, echo, gated, limited, spawn_call};

fn code(answer: &[u8]) -> Option<i64> {
    ErrorReply::parse(answer).map(|reply| reply.code)
}

/// Whether a new connection is served.
async fn is_served(address: &str) -> bool {
    let mut peer = Peer::connect(address).await;
    peer.try_send(frame(1, "/echo", 0, "x")).await && peer.next().await.is_some()
}

async fn becomes_served(address: &str) {
    while !is_served(address).await {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn connections_are_limited_in_all() {
    let (server, gate) = gated();
    let server = Running::start(server.connections(ConnectionLimits::default().total(2))).await;
    let first = server.client().await;
    let second = server.client().await;
    // Idle ones would make room.
    let held = [&first, &second].map(|client| spawn_call(client, "/held", "x"));
    gate.entered_by(2).await;
    assert!(!is_served(&server.address).await);
    let refused = server.builder().connect().await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Connect);
    assert_eq!(first.call("/echo", "x").await.unwrap(), "x");
    gate.release(2);
    for call in held {
        assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    }
    drop(second);
    limited(becomes_served(&server.address)).await;
    assert_eq!(first.call("/echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn the_plain_connection_that_is_idle_for_longest_makes_room() {
    let (server, gate) = gated();
    let server = Running::start(server.connections(ConnectionLimits::default().total(5))).await;
    let mut native = Peer::native(&server.address, 4).await;
    let mut busy = Peer::plain(&server.address, 1).await;
    busy.send(frame(1, "/held", 1, "held")).await;
    gate.entered().await;
    let mut longest = Peer::plain(&server.address, 1).await;
    let mut other = Peer::plain(&server.address, 1).await;
    assert_eq!(longest.call("/echo", 1, "x").await, "x");
    assert_eq!(other.call("/echo", 1, "x").await, "x");
    // More than nine tenths of the connections are taken.
    let mut last = Peer::plain(&server.address, 1).await;
    assert!(longest.rest().await.is_empty());
    drop(longest);
    gate.release(1);
    assert_eq!(text(&busy.expect().await), "held");
    for peer in [&mut other, &mut last, &mut busy] {
        assert_eq!(peer.call("/echo", 1, "x").await, "x");
    }
    assert_eq!(native.call("/echo", 2, "x").await, "x");
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let limits = ConnectionLimits::default().per_ip(2);
    let exempt = Running::start(echo().connections(limits.clone())).await;
    let server = Running::start(echo().connections(limits.limit_loopback())).await;
    for (server, limited) in [(exempt, false), (server, true)] {
        let kept = [server.client().await, server.client().await];
        assert_eq!(is_served(&server.address).await, !limited);
        for client in &kept {
            assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
        }
    }
}

#[tokio::test]
async fn an_address_that_violates_the_protocol_again_and_again_is_refused() {
    let limits = ConnectionLimits::default().strikes(3).limit_loopback();
    let server = Running::start(echo().connections(limits)).await;
    let client = server.client().await;
    for strike in 0..3 {
        assert!(is_served(&server.address).await, "after {strike} strikes");
        let mut peer = Peer::connect(&server.address).await;
        peer.send([9]).await;
        assert!(peer.rest().await.is_empty());
    }
    let refused = async {
        while is_served(&server.address).await {
            sleep(Duration::from_millis(1)).await;
        }
    };
    limited(refused).await;
    // Those that are there go on.
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn beyond_the_calls_in_flight_native_ones_are_refused_and_plain_ones_are_not() {
    let (server, gate) = gated();
    let server = Running::start(server.max_in_flight(2)).await;
    let native = server.client().await;
    let plain = server.plain_client().await;
    let mut held = vec![spawn_call(&native, "/held", "x")];
    gate.entered().await;
    held.push(spawn_call(&plain, "/held", "x"));
    gate.entered().await;
    let refused = limited(native.call("/held", "x")).await.unwrap();
    assert_eq!(code(&refused), Some(ErrorReply::OVERLOADED));
    assert!(String::from_utf8_lossy(&refused).contains("max_in_flight"));
    for _ in 0..3 {
        held.push(spawn_call(&plain, "/held", "x"));
        gate.entered().await;
    }
    gate.release(5);
    for call in held {
        assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    }
    assert_eq!(native.call("/echo", "x").await.unwrap(), "x");
}

/// Handlers that block a thread, so that they cannot be stopped. What their calls cost stays counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_given_up_whose_handlers_go_on_are_limited() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let blocking = handler_fn(move |request: Incoming| {
        let wait = Arc::clone(&wait);
        async move {
            tokio::task::yield_now().await;
            // Keeps its thread, so that it cannot be aborted; the runtime gets another one for its other tasks.
            let _ = tokio::task::block_in_place(|| wait.lock().unwrap().recv());
            Ok(request.into_data())
        }
    });
    let limits = iip_core::session::Limits::default().max_abandoned(2);
    let server = echo()
        .handler("/block", blocking)
        .limits(limits)
        .run_limit(Duration::from_millis(1));
    let server = Running::start(server).await;
    let client = server.client().await;
    for _ in 0..2 {
        let expired = limited(client.call("/block", "x")).await.unwrap();
        assert_eq!(code(&expired), Some(ErrorReply::DEADLINE_EXCEEDED));
    }
    let refused = limited(client.call("/echo", "x")).await.unwrap();
    assert_eq!(code(&refused), Some(ErrorReply::OVERLOADED));
    assert!(String::from_utf8_lossy(&refused).contains("max_abandoned"));
    let other = server.client().await;
    assert_eq!(
        other.call("/echo", "x").await.unwrap(),
        "x",
        "the limit is a connection's"
    );
    for _ in 0..2 {
        go_on.send(()).unwrap();
    }
    let served = async {
        while client.call("/echo", "x").await.unwrap() != "x" {
            sleep(Duration::from_millis(1)).await;
        }
    };
    limited(served).await;
}

#[tokio::test(start_paused = true)]
async fn a_native_call_without_a_deadline_may_run_for_a_minute() {
    let (server, gate) = gated();
    let server = Running::start_on(server, "memory://run-limit").await;
    let native = server.builder().timeout(None).connect().await.unwrap();
    let plain = server
        .builder()
        .timeout(None)
        .plain()
        .connect()
        .await
        .unwrap();
    let patient = spawn_call(&plain, "/held", "patient");
    gate.entered().await;
    let start = Instant::now();
    let expired = native.call("/held", "x").await.unwrap();
    assert_eq!(code(&expired), Some(ErrorReply::DEADLINE_EXCEEDED));
    assert_eq!(start.elapsed().as_secs(), 60);
    sleep(Duration::from_secs(100)).await;
    // The handler of the call that expired is gone.
    assert_eq!(gate.handlers(), 1);
    gate.release(1);
    assert_eq!(limited(patient).await.unwrap().unwrap(), "patient");
}

/// Sends echo requests and reads nothing, until the server takes no more. How many it took.
async fn fill(peer: &mut Peer<DuplexStream>) -> usize {
    let request = frame(1, "/echo", 0, vec![1; 16 * 1024]);
    let mut count = 0;
    while timeout(Duration::from_millis(100), peer.try_send(&request)).await == Ok(true) {
        count += 1;
    }
    count
}

async fn peer_of(client: &Client) -> Peer<DuplexStream> {
    let tcp = iip_core::transport::TcpOptions::default();
    let connected = iip_core::transport::connect(client.address(), Duration::from_secs(1), &tcp);
    match connected.await.unwrap().0 {
        iip_core::transport::Stream::Memory(stream) => Peer::new(stream),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_not_read_and_delays_nobody_else() {
    let server = Running::start_on(echo(), "memory://soft-limit").await;
    let client = server.client().await;
    let mut peer = peer_of(&client).await;
    let took = fill(&mut peer).await;
    // The limit of unsent replies, and what is on its way.
    assert!((64..100).contains(&took), "{took}");
    for _ in 0..100 {
        assert_eq!(client.call("/echo", "beside").await.unwrap(), "beside");
    }
    // Reading goes on when the peer reads. The last request was cut off by the end of the patience.
    for _ in 0..took {
        assert_eq!(peer.expect().await.header().length, 16 * 1024);
    }
}

/// What is left to say when a connection ends is more than one write.
#[tokio::test(start_paused = true)]
async fn large_answers_reach_a_client_that_has_half_closed() {
    let (server, gate) = gated();
    let server = Running::start_on(server, "memory://half-close").await;
    let client = server.client().await;
    let mut peer = peer_of(&client).await;
    peer.open_channels(8).await;
    let large = "y".repeat(300_000);
    for channel in 1..=8 {
        peer.send(frame(1, "/held", channel, &large)).await;
    }
    gate.entered_by(8).await;
    peer.finish().await;
    gate.release(8);
    // All of them are given while the client reads nothing.
    sleep(Duration::from_secs(1)).await;
    let answers = peer.rest().await;
    assert_eq!(answers.len(), 8);
    assert!(answers.iter().all(|answer| text(answer) == large));
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_for_ten_seconds_is_closed() {
    let server = Running::start_on(echo(), "memory://write-stall").await;
    let client = server.client().await;
    let mut peer = peer_of(&client).await;
    let start = Instant::now();
    fill(&mut peer).await;
    while peer.try_send([0; 1024]).await {
        sleep(Duration::from_millis(1)).await;
    }
    // The server reads on for two more, in vain.
    let elapsed = start.elapsed().as_secs();
    assert!((10..=12).contains(&elapsed), "{elapsed}");
    assert_eq!(client.call("/echo", "beside").await.unwrap(), "beside");
}

/// At the limit a plain connection is not read, and no request is answered with an error: its client could not tell it
/// from data.
#[tokio::test]
async fn a_plain_connection_with_too_many_calls_waits() {
    let (server, gate) = gated();
    let limits = iip_core::session::Limits::default()
        .max_plain_in_flight(10)
        .max_queued_per_channel(4);
    let server = Running::start(server.limits(limits)).await;
    let mut peer = Peer::plain(&server.address, 20).await;
    for channel in 1..=20 {
        peer.send(frame(1, "/held", channel, channel.to_string()))
            .await;
    }
    gate.entered_by(10).await;
    // The eleventh waits in the socket.
    gate.release(10);
    gate.entered_by(10).await;
    gate.release(10);
    let mut answers: Vec<u32> = Vec::new();
    for _ in 0..20 {
        answers.push(text(&peer.expect().await).parse().unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, (1..=20).collect::<Vec<_>>());
    // The same on one channel.
    for number in 0..20 {
        peer.send(frame(1, "/held", 1, number.to_string())).await;
    }
    gate.release(20);
    for number in 0..20 {
        assert_eq!(text(&peer.expect().await), number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_request_is_given_up() {
    let server = Running::start_on(echo(), "memory://assembly").await;
    let client = server.client().await;
    let mut peer = peer_of(&client).await;
    let start = Instant::now();
    peer.send(frame(0, "/echo", 0, "begun")).await;
    let refused = peer.expect().await;
    assert_eq!(
        code(text(&refused).as_bytes()),
        Some(ErrorReply::DEADLINE_EXCEEDED)
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    // The connection lives; the rest of the request is read past.
    peer.send(frame(3, "/echo", 0, "end")).await;
    assert_eq!(peer.call("/echo", 0, "next").await, "next");
}

/// An idle connection that was never closed by its client costs little and is not closed if it is plain.
#[tokio::test(start_paused = true)]
async fn idle_connections_of_native_clients_end_and_those_of_plain_ones_stay() {
    let server = Running::start_on(echo(), "memory://idle").await;
    let client = server.client().await;
    let mut plain = peer_of(&client).await;
    assert_eq!(plain.call("/echo", 0, "x").await, "x");
    let mut native = peer_of(&client).await;
    native.say_hello(4).await;
    let start = Instant::now();
    sleep(Duration::from_secs(599)).await;
    let notice = native.expect_goaway().await;
    assert_eq!(notice.code, 0);
    let minutes = start.elapsed().as_secs() / 60;
    assert_eq!(minutes, 10);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(plain.call("/echo", 0, "x").await, "x");
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
}
