//! What a client does when connections are lost, stuck or given up by the server. In memory and in virtual time.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use iip_core::client::{Client, ClientBuilder};
use iip_core::session::{Format, Limits, Payload};
use iip_core::transport::{MemoryListener, memory_listener};
use iip_core::wire::Path;
use iip_core::{Error, ErrorKind, Outcome};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use crate::peer::{Peer, frame};
use crate::running::{Running, echo, eventually, gated, join_all, limited, spawn_call};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Lets every task run until all of them wait.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

async fn accept(listener: &mut MemoryListener) -> Peer<DuplexStream> {
    Peer::new(limited(listener.accept()).await)
}

/// A client and the server it is connected to.
async fn connected(
    configure: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Client, Peer<DuplexStream>, MemoryListener) {
    let (mut listener, connector) = memory_listener();
    let builder = configure(Client::builder(connector.address()));
    let (client, peer) = tokio::join!(builder.connect(), async {
        let mut peer = accept(&mut listener).await;
        peer.greet(8).await;
        peer
    });
    (client.unwrap(), peer, listener)
}

async fn call_within(
    client: &Client,
    data: impl Into<Bytes>,
    time: Duration,
) -> Result<Bytes, Error> {
    let payload = Payload::Whole(data.into());
    let deadline = Some((Instant::now() + time).into_std());
    let path = Path::from_static("/x");
    client
        .call_until(&path, Format::Raw, payload, deadline)
        .await
}

#[tokio::test(start_paused = true)]
async fn calls_fail_with_their_connection_and_the_next_ones_get_a_new_one() {
    let (server, gate) = gated();
    let server = Running::start_on(server, "memory://killed").await;
    let client = server.client().await;
    let held: Vec<_> = (0..10).map(|_| spawn_call(&client, "/held", "x")).collect();
    gate.entered_by(10).await;
    server.kill().await;
    for call in held {
        let error = limited(call).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Closed);
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert!(error.to_string().contains("memory://killed"), "{error}");
    }
    eventually("the loss", || client.connections() == 0).await;

    let _server = Running::start_on(echo(), "memory://killed").await;
    // Without a call: the client keeps one connection.
    eventually("a new connection", || client.connections() == 1).await;
    assert_eq!(client.call("/echo", "again").await.unwrap(), "again");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_written_was_not_sent() {
    let (client, peer, _listener) = connected(|builder| builder).await;
    // More than the pipe holds, so that what follows stays on this side.
    let large = tokio::spawn({
        let client = client.clone();
        async move { client.call("/x", vec![1; 1024 * 1024]).await }
    });
    settle().await;
    let small = spawn_call(&client, "/x", "x");
    settle().await;
    drop(peer);
    let large = limited(large).await.unwrap().unwrap_err();
    let small = limited(small).await.unwrap().unwrap_err();
    assert_eq!(
        (large.kind(), large.outcome()),
        (&ErrorKind::Closed, Outcome::Unknown)
    );
    assert_eq!(
        (small.kind(), small.outcome()),
        (&ErrorKind::Closed, Outcome::NotSent)
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_reading_delays_no_deadline() {
    let (client, _peer, _listener) = connected(|builder| builder).await;
    let start = Instant::now();
    // In one task, so that both are in the buffer of which the pipe takes a part.
    let calls = [
        (Bytes::from_static(b"x"), seconds(1)),
        (Bytes::from(vec![1; 1024 * 1024]), seconds(3)),
    ];
    let calls = calls.map(|(data, time)| call_within(&client, data, time));
    let both = tokio::join!(join_all(calls), async {
        settle().await;
        let error = call_within(&client, "late", seconds(2)).await.unwrap_err();
        // Opened while nothing could be written: it is encoded, and goes out should the server read on.
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Deadline, Outcome::Unknown)
        );
        assert_eq!(start.elapsed().as_secs(), 2);
    });
    assert_eq!(start.elapsed().as_secs(), 3);
    for error in both.0.into_iter().map(Result::unwrap_err) {
        // The first frame of each was accepted by the socket, so a handler may have seen it.
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Deadline, Outcome::Unknown)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_nothing_for_ten_seconds_is_lost() {
    let (client, _peer, _listener) = connected(|builder| builder.timeout(None)).await;
    let start = Instant::now();
    let error = client.call("/x", vec![1; 1024 * 1024]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Closed, Outcome::Unknown)
    );
    assert_eq!(start.elapsed().as_secs(), 10);
}

/// Counts the connections that a server sees in a minute which does not let them live.
async fn dials_in_a_minute(greets: bool) -> usize {
    let (mut listener, connector) = memory_listener();
    let client = Client::builder(connector.address()).connect_lazy();
    let first = spawn_call(&client, "/x", "x");
    let count = Cell::new(0);
    let serve = async {
        loop {
            let mut peer = accept(&mut listener).await;
            count.set(count.get() + 1);
            assert!(count.get() < 1000, "nobody waits");
            if greets {
                peer.greet(8).await;
            }
        }
    };
    assert!(tokio::time::timeout(seconds(60), serve).await.is_err());
    first.abort();
    count.get()
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_are_paced() {
    let dials = dials_in_a_minute(false).await;
    // 0.76 s between two in the mean, and never more than 1.5 s.
    assert!((45..130).contains(&dials), "{dials}");
}

#[tokio::test(start_paused = true)]
async fn connections_that_do_not_last_are_paced() {
    let dials = dials_in_a_minute(true).await;
    assert!((45..130).contains(&dials), "{dials}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasted_is_replaced_at_once() {
    let (client, peer, mut listener) = connected(|builder| builder).await;
    sleep(seconds(6)).await;
    drop(peer);
    let lost = Instant::now();
    accept(&mut listener).await.greet(8).await;
    assert_eq!(lost.elapsed(), Duration::ZERO);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn calls_fail_fast_while_the_server_is_away() {
    let server = Running::start_on(echo(), "memory://away").await;
    let client = server.client().await;
    let patient = server.builder().wait_for_ready().connect().await.unwrap();
    server.kill().await;
    eventually("the loss", || {
        client.connections() + patient.connections() == 0
    })
    .await;
    sleep(seconds(1)).await;
    let start = Instant::now();
    let error = client.call("/echo", "x").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Connect, Outcome::NotSent)
    );
    assert_eq!(start.elapsed(), Duration::ZERO);

    let error = call_within(&patient, "x", seconds(3)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Deadline, Outcome::NotSent)
    );
    assert_eq!(start.elapsed().as_secs(), 3);

    let waiting = spawn_call(&patient, "/echo", "waited");
    sleep(seconds(5)).await;
    let _server = Running::start_on(echo(), "memory://away").await;
    assert_eq!(limited(waiting).await.unwrap().unwrap(), "waited");
    eventually("a connection", || client.connections() == 1).await;
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
}

/// A client that keeps no connection dials for calls only.
#[tokio::test(start_paused = true)]
async fn without_a_least_number_nobody_dials_for_nobody() {
    let (mut listener, connector) = memory_listener();
    let builder = Client::builder(connector.address()).min_connections(0);
    let client = builder.connect_lazy();
    for _ in 0..3 {
        let call = spawn_call(&client, "/x", "x");
        drop(accept(&mut listener).await);
        let error = limited(call).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Connect);
        // Nobody waits: nobody dials.
        let none = tokio::time::timeout(seconds(60), listener.accept()).await;
        assert!(none.is_err());
    }
    let call = spawn_call(&client, "/x", "x");
    let mut peer = accept(&mut listener).await;
    peer.greet(8).await;
    let request = peer.expect().await;
    peer.send(frame(5, "/", request.channel().0, "y")).await;
    assert_eq!(limited(call).await.unwrap().unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_the_hello_is_no_server() {
    let (mut listener, connector) = memory_listener();
    let start = Instant::now();
    let builder = Client::builder(connector.address());
    let (error, _peer) = tokio::join!(builder.connect(), accept(&mut listener));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Connect);
    assert_eq!(start.elapsed().as_secs(), 5);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("hello"), "{source}");
}

/// The server is replaced by another one at the same address, again and again, while calls go on.
#[tokio::test(start_paused = true)]
async fn a_draining_server_loses_no_call() {
    let mut server = Running::start_on(echo(), "memory://drained").await;
    let builder = server
        .builder()
        .wait_for_ready()
        .limits(Limits::default().max_channels(5));
    let client = builder.connect().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = 0;
                while !stop.load(Ordering::Relaxed) {
                    // Some in one frame, some in many.
                    let length = if caller % 4 == 0 { 200_000 } else { 20 };
                    let data = Bytes::from(vec![caller; length]);
                    assert_eq!(client.call("/echo", data.clone()).await.unwrap(), data);
                    answered += 1;
                    // Time goes on only while everybody waits.
                    sleep(Duration::from_micros(500 + u64::from(caller) * 100)).await;
                }
                answered
            })
        })
        .collect();
    for _ in 0..20 {
        sleep(Duration::from_millis(50)).await;
        let report = server.stop().await;
        assert_eq!((report.cut_calls, report.cut_connections), (0, 0));
        server = Running::start_on(echo(), "memory://drained").await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(limited(caller).await.unwrap() > 20);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_answered_by_the_server_that_drains() {
    let (server, gate) = gated();
    let server = Running::start_on(server, "memory://answers").await;
    let client = server.builder().wait_for_ready().connect().await.unwrap();
    let held = spawn_call(&client, "/held", "old");
    gate.entered().await;
    let stopping = server.signal();
    eventually("the notice", || client.connections() == 0).await;
    let _next = Running::start_on(echo(), "memory://answers").await;
    assert_eq!(client.call("/echo", "new").await.unwrap(), "new");
    assert!(!stopping.is_finished());
    gate.release(1);
    assert_eq!(limited(held).await.unwrap().unwrap(), "old");
    assert_eq!(limited(stopping).await.unwrap().cut_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_leaves_a_call_unanswered_is_replaced() {
    let (client, mut peer, mut listener) = connected(|builder| builder).await;
    let error = call_within(&client, "x", seconds(1)).await.unwrap_err();
    assert!(error.is_deadline());
    assert_eq!(client.connections(), 1);
    assert_eq!(peer.expect().await.path(), b"/x");
    let start = Instant::now();
    let mut second = accept(&mut listener).await;
    // Five seconds after the call was given up.
    assert_eq!(start.elapsed().as_secs(), 5);
    second.greet(8).await;
    eventually("the second connection", || client.connections() == 1).await;
    // Nothing else is in flight on the first.
    assert!(peer.rest().await.is_empty());
    let call = spawn_call(&client, "/x", "x");
    let request = second.expect().await;
    second.send(frame(5, "/", request.channel().0, "y")).await;
    assert_eq!(limited(call).await.unwrap().unwrap(), "y");
}

/// A stuck connection is not closed while other calls run on it.
#[tokio::test(start_paused = true)]
async fn a_stuck_connection_answers_its_other_calls() {
    let (client, mut peer, mut listener) = connected(|builder| builder).await;
    let long = tokio::spawn({
        let client = client.clone();
        async move { call_within(&client, "long", seconds(60)).await }
    });
    let request = peer.expect().await;
    call_within(&client, "x", seconds(1)).await.unwrap_err();
    assert_eq!(peer.expect().await.path(), b"/x");
    accept(&mut listener).await.greet(8).await;
    peer.send(frame(5, "/", request.channel().0, "answer"))
        .await;
    assert_eq!(limited(long).await.unwrap().unwrap(), "answer");
    assert!(peer.rest().await.is_empty());
}

/// A late answer is read past, and its channel is used again.
#[tokio::test(start_paused = true)]
async fn a_late_answer_reaches_nobody() {
    let (client, mut peer, _listener) = connected(|builder| builder).await;
    for round in 0..20 {
        call_within(&client, "x", Duration::from_millis(10))
            .await
            .unwrap_err();
        let late = peer.expect().await;
        let call = spawn_call(&client, "/x", "x");
        let request = peer.expect().await;
        assert_ne!(request.channel(), late.channel());
        peer.send(frame(5, "/", late.channel().0, "late")).await;
        let answer = format!("answer {round}");
        peer.send(frame(5, "/", request.channel().0, &answer)).await;
        assert_eq!(limited(call).await.unwrap().unwrap(), answer);
    }
    assert_eq!(client.connections(), 1);
}
