//! What a server does with more calls than it can take.

use std::sync::Arc;
use std::time::Duration;

use iip_core::client::Client;
use iip_core::server::{
    AdaptiveLimit, HandlerError, Incoming, Overload, Server, ServerBuilder, Statistics, handler_fn,
};
use iip_core::session::ErrorReply;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::peer::{Peer, frame, text};
use crate::running::{Gate, Running, echo, eventually, gated, limited, spawn_call};

fn code(answer: &[u8]) -> Option<i64> {
    ErrorReply::parse(answer).map(|reply| reply.code)
}

fn queue(calls: usize) -> Overload {
    Overload::default().queue(calls)
}

/// A server in this process, and its figures.
async fn start(builder: ServerBuilder, name: &str) -> (Client, Statistics) {
    let server = builder.bind(&format!("memory://{name}")).await.unwrap();
    let statistics = server.statistics();
    let address = server.local_addr().unwrap().clone();
    tokio::spawn(server.serve());
    let client = Client::builder(address).max_connections(1);
    (client.connect().await.unwrap(), statistics)
}

/// Whether so many calls wait.
async fn waits(statistics: &Statistics, calls: usize) {
    eventually("calls wait", || statistics.overload().waiting == calls).await;
}

/// The only place is taken, by a plain client, whose calls have no deadline.
async fn taken(client: &Client, gate: &Gate) -> tokio::task::JoinHandle<()> {
    let plain = Client::builder(client.address().clone()).plain();
    let plain = plain.timeout(None).connect().await.unwrap();
    let call = spawn_call(&plain, "/held", "x");
    gate.entered().await;
    tokio::spawn(async move {
        assert_eq!(call.await.unwrap().unwrap(), "x");
    })
}

#[tokio::test]
async fn calls_wait_for_their_turn_and_those_beyond_are_refused() {
    let (server, gate) = gated();
    let server = server.max_in_flight(1).overload(queue(2));
    let (client, statistics) = start(server, "overload-turns").await;
    let first = spawn_call(&client, "/held", "1");
    gate.entered().await;
    let mut waiting = Vec::new();
    for (waiting_now, data) in ["2", "3"].into_iter().enumerate() {
        waiting.push((data, spawn_call(&client, "/held", data)));
        waits(&statistics, waiting_now + 1).await;
    }
    // Also one that would be answered at once.
    for path in ["/held", "/echo"] {
        let refused = limited(client.call(path, "x")).await.unwrap();
        assert_eq!(code(&refused), Some(ErrorReply::OVERLOADED), "{path}");
    }
    assert_eq!(gate.handlers(), 1, "none that waits has a handler");
    let stats = statistics.overload();
    assert_eq!((stats.in_flight, stats.limit), (1, 1));
    assert_eq!((stats.waiting, stats.queue), (2, 2));
    assert_eq!(stats.refused_limit, 2);
    assert_eq!(statistics.load().held, 2, "the requests that wait");
    gate.release(1);
    assert_eq!(limited(first).await.unwrap().unwrap(), "1");
    for (data, call) in waiting {
        gate.entered().await;
        assert_eq!(gate.handlers(), 1);
        gate.release(1);
        assert_eq!(limited(call).await.unwrap().unwrap(), data);
    }
    eventually("nothing is left", || {
        statistics.overload().in_flight == 0 && statistics.load().held == 0
    })
    .await;
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn what_expires_while_it_waits_is_never_begun() {
    let (server, gate) = gated();
    let server = server
        .max_in_flight(1)
        .run_limit(Duration::from_secs(3))
        .overload(queue(10));
    let (client, statistics) = start(server, "overload-expired").await;
    let first = taken(&client, &gate).await;
    let begun = Instant::now();
    let expired = limited(client.call("/held", "late")).await.unwrap();
    assert_eq!(code(&expired), Some(ErrorReply::DEADLINE_EXCEEDED));
    assert_eq!(begun.elapsed().as_secs(), 3);
    let stats = statistics.overload();
    assert_eq!((stats.waiting, stats.expired_waiting), (0, 1));
    assert_eq!(statistics.load().held, 0);
    // There is room for one more, and for it alone.
    let next = spawn_call(&client, "/held", "next");
    waits(&statistics, 1).await;
    gate.release(2);
    assert_eq!(limited(next).await.unwrap().unwrap(), "next");
    gate.entered().await;
    first.await.unwrap();
    assert_eq!(gate.handlers(), 0);
}

#[tokio::test]
async fn one_connection_does_not_take_all_there_is() {
    let (server, gate) = gated();
    let settings = Overload::default().per_connection(2);
    let (client, statistics) = start(server.overload(settings), "overload-share").await;
    let held = [(); 2].map(|()| spawn_call(&client, "/held", "x"));
    gate.entered_by(2).await;
    let refused = limited(client.call("/held", "x")).await.unwrap();
    assert_eq!(code(&refused), Some(ErrorReply::OVERLOADED));
    let text = String::from_utf8_lossy(&refused).into_owned();
    assert!(text.contains("per_connection"), "{text}");
    assert_eq!(statistics.overload().refused_per_connection, 1);
    let other = Client::builder(client.address().clone());
    let other = other.connect().await.unwrap();
    assert_eq!(other.call("/echo", "x").await.unwrap(), "x");
    gate.release(2);
    for call in held {
        assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    }
    eventually("there is room again", || {
        statistics.overload().in_flight == 0
    })
    .await;
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
}

/// Calls that arrive together, of which none has ended.
#[tokio::test]
async fn calls_that_wait_count_for_their_connection() {
    let (server, gate) = gated();
    let settings = queue(100).per_connection(3);
    let server = server.max_in_flight(1).overload(settings);
    let server = Running::start(server).await;
    let mut peer = Peer::native(&server.address, 16).await;
    let batch: Vec<u8> = (2..10)
        .flat_map(|channel| frame(1, "/held", channel, "x"))
        .collect();
    peer.send(batch).await;
    for _ in 0..5 {
        assert!(text(&peer.expect().await).contains("per_connection"));
    }
    gate.release(3);
    for _ in 0..3 {
        assert_eq!(text(&peer.expect().await), "x");
    }
}

#[tokio::test]
async fn calls_of_a_connection_that_ends_wait_no_longer() {
    let (server, gate) = gated();
    let server = server.max_in_flight(1).overload(queue(10));
    let (client, statistics) = start(server, "overload-lost").await;
    let first = taken(&client, &gate).await;
    let other = Client::builder(client.address().clone());
    let other = other.connect().await.unwrap();
    let calls = [(); 3].map(|()| spawn_call(&other, "/held", "x"));
    waits(&statistics, 3).await;
    for call in &calls {
        call.abort();
    }
    drop(other);
    for call in calls {
        let _ = call.await;
    }
    // The client's connections end with it.
    waits(&statistics, 0).await;
    gate.release(1);
    first.await.unwrap();
    eventually("nothing is held", || statistics.load().held == 0).await;
    assert_eq!(gate.handlers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_grace_ends_refuses_what_waits() {
    let (server, gate) = gated();
    let server = server.max_in_flight(1).overload(queue(10));
    let grace = Duration::from_secs(1);
    let address = "memory://overload-grace";
    let server = Running::start_with_grace(server, address, grace).await;
    let client = server.client().await;
    let first = spawn_call(&client, "/held", "x");
    gate.entered().await;
    let waiting = spawn_call(&client, "/held", "x");
    // All that can be done is done before time passes.
    sleep(Duration::from_millis(1)).await;
    let report = server.stop().await;
    assert_eq!(report.cut_calls, 1, "the one that was begun");
    let refused = limited(waiting).await.unwrap().unwrap();
    assert_eq!(code(&refused), Some(ErrorReply::DRAINING));
    assert_eq!(
        code(&limited(first).await.unwrap().unwrap()),
        Some(ErrorReply::HANDLER_FAILED)
    );
}

/// Calls that begin to wait while others end, on several cores: none is forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_waits_for_ever() {
    let short = handler_fn(async |request: Incoming| {
        tokio::task::yield_now().await;
        Ok(request.into_data())
    });
    let server = echo().handler("/short", short);
    let server = server.max_in_flight(2).overload(queue(1000));
    let (client, statistics) = start(server, "overload-stress").await;
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let client = client.clone();
        callers.spawn(async move {
            for _ in 0..100 {
                assert_eq!(limited(client.call("/short", "x")).await.unwrap(), "x");
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let stats = statistics.overload();
    assert_eq!((stats.waiting, stats.refused_limit), (0, 0));
    eventually("nothing is left", || statistics.overload().in_flight == 0).await;
}

/// Each handler that is dropped lets another begin, which is dropped in its turn.
#[test]
fn a_runtime_ends_with_many_calls_waiting() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (server, gate) = gated();
        let server = server.max_in_flight(1).overload(queue(10_000));
        let (client, statistics) = start(server, "overload-runtime").await;
        for _ in 0..1500 {
            spawn_call(&client, "/held", "x");
        }
        gate.entered().await;
        waits(&statistics, 1499).await;
    });
    drop(runtime);
}

/// A server that can do 100 calls a second, four at a time.
fn four_workers() -> ServerBuilder {
    let workers = Arc::new(Semaphore::new(4));
    let work = handler_fn(move |request: Incoming| {
        let workers = Arc::clone(&workers);
        async move {
            let _place = workers.acquire().await.map_err(HandlerError::from)?;
            sleep(Duration::from_millis(40)).await;
            Ok(request.into_data())
        }
    });
    Server::builder().handler("/work", work)
}

/// Calls for a while, one in so many milliseconds. How many were refused and answered, and the longest that one took.
async fn offer(client: &Client, pause: u64, length: Duration) -> (usize, usize, Duration) {
    let mut calls = JoinSet::new();
    let until = Instant::now() + length;
    while Instant::now() < until {
        let client = client.clone();
        calls.spawn(async move {
            let begun = Instant::now();
            let answer = client.call("/work", "x").await.unwrap();
            (answer == "x").then(|| begun.elapsed())
        });
        sleep(Duration::from_millis(pause)).await;
    }
    let (mut refused, mut answered, mut longest) = (0, 0, Duration::ZERO);
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            Some(took) => {
                answered += 1;
                longest = longest.max(took);
            }
            None => refused += 1,
        }
    }
    (refused, answered, longest)
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_keeps_an_overloaded_server_at_work_and_its_answers_fast() {
    let limit = AdaptiveLimit::default().min(4);
    let server = four_workers().overload(Overload::default().adaptive(limit));
    let (client, statistics) = start(server, "overload-adaptive").await;
    let second = Duration::from_secs(1);
    let (refused, ..) = offer(&client, 16, 10 * second).await;
    assert_eq!(refused, 0);
    // It has to learn that it is overloaded.
    offer(&client, 3, 5 * second).await;
    let (refused, answered, longest) = offer(&client, 3, 20 * second).await;
    assert!(answered >= 1600, "{answered} of 2000 that are possible");
    assert!(longest <= Duration::from_millis(400), "{longest:?}");
    let stats = statistics.overload();
    assert!((4..=24).contains(&stats.limit), "{}", stats.limit);
    assert!(stats.refused_limit >= refused as u64);
    // And that it is not any more.
    offer(&client, 16, 5 * second).await;
    let (refused, _, longest) = offer(&client, 16, 10 * second).await;
    assert_eq!(refused, 0);
    assert!(longest <= Duration::from_millis(160), "{longest:?}");
}
