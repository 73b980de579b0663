//! How servers and clients stop: what goes on for how long, and what the reports say.

use std::time::Duration;

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{Server, ServerBuilder, ServerHandle, handler_fn};
use iip_core::transport::memory_listener;
use iip_core::{ErrorKind, Outcome};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::peer::{Peer, frame};
use crate::running::{Running, echo, eventually, gated, limited, spawn_call};

const SECOND: Duration = Duration::from_secs(1);

/// A server that is stopped by its handle, and a client.
async fn serving(
    builder: ServerBuilder,
    of_client: impl FnOnce(iip_core::client::ClientBuilder) -> iip_core::client::ClientBuilder,
) -> (ServerHandle, JoinHandle<()>, Client) {
    let (listener, connector) = memory_listener();
    let server = builder.listener(listener).build().unwrap();
    let handle = server.handle();
    let done = tokio::spawn(server.serve());
    let client = of_client(Client::builder(connector.address()));
    (handle, done, client.connect().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_handle_stops_a_server_and_tells_how_it_went() {
    let (server, gate) = gated();
    let (handle, done, client) = serving(server, |client| client.timeout(None)).await;
    assert!(handle.is_ready());
    let call = spawn_call(&client, "/held", "x");
    gate.entered().await;
    let began = Instant::now();
    handle.clone().drain(30 * SECOND);
    assert!(!handle.is_ready());
    limited(handle.stopping()).await;
    sleep(10 * SECOND).await;
    assert!(!done.is_finished());
    gate.release(1);
    assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    let report = limited(handle.stopped()).await.unwrap();
    limited(done).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(
        (report.cut_calls, report.cut_streams, report.cut_connections),
        (0, 0, 0)
    );
    assert_eq!((report.took.as_secs(), began.elapsed().as_secs()), (10, 10));
    // It is over, and stays so.
    handle.drain(SECOND);
    assert_eq!(limited(handle.stopped()).await, Some(report));
}

#[tokio::test(start_paused = true)]
async fn a_handle_outlives_a_server_that_is_dropped() {
    let server = echo().bind("memory://dropped").await.unwrap();
    let handle = server.handle();
    drop(server);
    limited(handle.stopping()).await;
    assert_eq!(limited(handle.stopped()).await, None);
    let (handle, done, _client) = serving(echo(), |client| client).await;
    done.abort();
    assert_eq!(limited(handle.stopped()).await, None);
    assert!(!handle.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_server_told_before_it_serves_stops_at_once() {
    let server = echo().bind("memory://told-early").await.unwrap();
    let handle = server.handle();
    handle.drain(SECOND);
    limited(server.serve()).await;
    assert!(handle.stopped().await.unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn before_it_stops_a_server_still_accepts() {
    let builder = echo().pre_stop(5 * SECOND);
    let server = Running::start_on(builder, "memory://pre-stop").await;
    let (first, late) = (server.client().await, server.builder());
    let began = Instant::now();
    let stopping = server.signal();
    sleep(4 * SECOND).await;
    assert_eq!(first.call("/echo", "x").await.unwrap(), "x");
    let second = late.connect().await.unwrap();
    assert_eq!(second.call("/echo", "y").await.unwrap(), "y");
    let report = limited(stopping).await.unwrap();
    assert!(report.is_clean());
    assert_eq!((report.took.as_secs(), began.elapsed().as_secs()), (5, 5));
    // Told again, it waits no longer.
    let (handle, done, _client) = serving(echo().pre_stop(500 * SECOND), |client| client).await;
    handle.drain(SECOND);
    sleep(SECOND).await;
    assert!(!done.is_finished());
    handle.drain(SECOND);
    limited(done).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn calls_that_outlast_the_grace_are_cut_and_counted() {
    let (server, gate) = gated();
    let (handle, done, client) = serving(server, |client| client.timeout(None)).await;
    let calls: Vec<_> = (0..3).map(|_| spawn_call(&client, "/held", "x")).collect();
    gate.entered_by(3).await;
    let began = Instant::now();
    handle.drain(60 * SECOND);
    sleep(SECOND).await;
    // The grace gets shorter.
    handle.drain(9 * SECOND);
    let report = limited(handle.stopped()).await.unwrap();
    assert_eq!(
        (report.cut_calls, report.cut_streams, report.cut_connections),
        (3, 0, 0)
    );
    assert!(!report.is_clean());
    assert_eq!(began.elapsed().as_secs(), 10);
    for call in calls {
        // The answer of a raw path, which says that its handler was stopped.
        let answer = limited(call).await.unwrap().unwrap();
        assert!(answer.starts_with(br#"{"code":-1"#), "{answer:?}");
    }
    limited(done).await.unwrap();
    eventually("the handlers are gone", || gate.handlers() == 0).await;
}

/// A peer that reads little by little keeps nobody for longer than 5 s.
#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_end_is_cut() {
    let large = handler_fn(|_| async { Ok(Bytes::from(vec![1; 8 << 20])) });
    let (listener, connector) = memory_listener();
    let server = Server::builder().handler("/large", large);
    let server = server.listener(listener).build().unwrap();
    let handle = server.handle();
    let done = tokio::spawn(server.serve());
    let mut io = connector.connect().await.unwrap();
    let mut peer = Peer::new(&mut io);
    peer.say_hello(4).await;
    peer.send(frame(1, "/large", 2, "x")).await;
    tokio::spawn(async move {
        let mut some = [0; 1024];
        while io.read(&mut some).await.is_ok_and(|count| count > 0) {
            sleep(SECOND / 10).await;
        }
    });
    // Time goes on only while everybody waits: by then the handler has answered.
    sleep(SECOND).await;
    let began = Instant::now();
    handle.drain(SECOND);
    let report = limited(handle.stopped()).await.unwrap();
    assert_eq!((report.cut_calls, report.cut_connections), (0, 1));
    assert_eq!(began.elapsed().as_secs(), 6);
    limited(done).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn old_connections_are_replaced_by_their_server() {
    let (listener, connector) = memory_listener();
    let builder = echo().max_connection_age(100 * SECOND, 10 * SECOND);
    let server = builder.listener(listener).build().unwrap();
    let (handle, statistics) = (server.handle(), server.statistics());
    let done = tokio::spawn(server.serve());
    let client = Client::builder(connector.address()).connect_lazy();
    let newest = || {
        statistics
            .connections(9)
            .last()
            .map(|connection| connection.id)
    };
    let mut ages = Vec::new();
    let mut began = Instant::now();
    let mut before = None;
    for _ in 0..2_000 {
        assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
        if newest() > before {
            before = newest();
            ages.push(began.elapsed().as_secs());
            began = Instant::now();
        }
        sleep(SECOND).await;
    }
    // The first is the connection that was made for the first call.
    let mut ages = ages.split_off(1);
    assert!((17..=23).contains(&ages.len()), "{ages:?}");
    assert!(ages.iter().all(|age| (89..=111).contains(age)), "{ages:?}");
    // Not all of the same age.
    ages.sort_unstable();
    ages.dedup();
    assert!(ages.len() > 3, "{ages:?}");
    handle.drain(SECOND);
    limited(done).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn old_connections_are_replaced_by_their_client_first() {
    let (server, gate) = gated();
    let server = server.run_limit(1_000 * SECOND);
    let (handle, _done, client) = serving(server, |client| {
        client.max_connection_age(100 * SECOND).timeout(None)
    })
    .await;
    let old = spawn_call(&client, "/held", "old");
    gate.entered().await;
    for _ in 0..30 {
        sleep(10 * SECOND).await;
        // There is never none.
        assert_eq!(client.connections(), 1);
        assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
    }
    gate.release(1);
    assert_eq!(limited(old).await.unwrap().unwrap(), "old");
    handle.drain(SECOND);
    assert!(handle.stopped().await.unwrap().is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_client_closes_when_its_calls_are_answered() {
    let (server, gate) = gated();
    let (_handle, _done, client) = serving(server, |client| client.timeout(None)).await;
    let held = spawn_call(&client, "/held", "x");
    gate.entered().await;
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close_within(20 * SECOND).await }
    });
    sleep(5 * SECOND).await;
    let error = client.call("/echo", "x").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Closed, Outcome::NotSent)
    );
    assert!(!closing.is_finished());
    gate.release(1);
    assert_eq!(limited(held).await.unwrap().unwrap(), "x");
    let report = limited(closing).await.unwrap();
    assert!(report.is_clean());
    assert_eq!(report.took.as_secs(), 5);
    assert_eq!(client.close_within(SECOND).await.took.as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_cuts_calls_that_outlast_its_grace() {
    let (server, gate) = gated();
    let (handle, _done, client) = serving(server, |client| client.timeout(None)).await;
    let held = [(); 2].map(|()| spawn_call(&client, "/held", "x"));
    gate.entered_by(2).await;
    let report = client.close_within(3 * SECOND).await;
    assert_eq!(
        (
            report.cut_calls,
            report.cut_connections,
            report.took.as_secs()
        ),
        (2, 0, 3)
    );
    for call in held {
        let error = limited(call).await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Closed, Outcome::Unknown)
        );
    }
    // The server knows, and its handlers are stopped.
    eventually("the handlers are gone", || gate.handlers() == 0).await;
    handle.drain(SECOND);
    assert!(handle.stopped().await.unwrap().is_clean());
}
