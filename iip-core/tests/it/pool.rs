//! How many connections a client makes, and which of them a call takes.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use iip_core::client::Client;
use iip_core::server::{Incoming, handler_fn};
use iip_core::session::{Format, Limits, Payload};
use iip_core::wire::Path;
use iip_core::{Error, ErrorKind, Outcome};

use crate::peer::{FakeServer, frame};
use crate::running::{Running, echo, eventually, gated, join_all, limited, spawn_call};

/// Limits of a client or a server with so many calls on a connection; one channel is for its events.
fn calls(count: u32) -> Limits {
    Limits::default().max_channels(count + 1)
}

async fn call_within(client: &Client, path: &str, time: Duration) -> Error {
    let path = Path::new(path).unwrap();
    let payload = Payload::Whole("x".into());
    let deadline = Some(Instant::now() + time);
    let result = client
        .call_until(&path, Format::Raw, payload, deadline)
        .await;
    result.expect_err("a failure")
}

#[tokio::test]
async fn one_connection_is_enough_for_many_calls() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let client = server.client().await;
    let calls: Vec<_> = (0..1000)
        .map(|_| spawn_call(&client, "/held", "x"))
        .collect();
    gate.entered_by(1000).await;
    assert_eq!(client.connections(), 1);
    gate.release(1000);
    for call in calls {
        assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    }
}

#[tokio::test]
async fn nothing_is_connected_before_the_first_call_of_a_lazy_client() {
    let server = FakeServer::bind().await;
    let client = Client::builder(server.address.parse().unwrap()).connect_lazy();
    assert_eq!(client.connections(), 0);
    let call = spawn_call(&client, "/x", "x");
    let mut peer = server.accept().await;
    peer.greet(8).await;
    assert_eq!(peer.expect().await.path(), b"/x");
    assert_eq!(client.connections(), 1);
    call.abort();
}

#[tokio::test]
async fn the_least_number_of_connections_is_kept() {
    let server = Running::start(echo()).await;
    let builder = server.builder().min_connections(3);
    let client = builder.connect().await.unwrap();
    eventually("three connections", || client.connections() == 3).await;
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_second_connection_is_made_when_every_channel_is_leased() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let builder = server.builder().limits(calls(2)).max_connections(3);
    let client = builder.connect().await.unwrap();
    let mut peers = HashSet::new();
    for (count, connections) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)] {
        spawn_call(&client, "/held", "x");
        peers.insert(gate.entered().await);
        assert_eq!(client.connections(), connections, "{count} calls");
        assert_eq!(peers.len(), connections, "{count} calls");
    }
    gate.release(6);
}

#[tokio::test]
async fn a_call_takes_the_connection_with_the_fewest_calls() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let builder = server.builder().min_connections(3).limits(calls(100));
    let client = builder.connect().await.unwrap();
    eventually("three connections", || client.connections() == 3).await;
    let mut by_peer: BTreeMap<String, usize> = BTreeMap::new();
    for begun in 1..=30 {
        spawn_call(&client, "/held", "x");
        let peer = gate.entered().await.to_string();
        *by_peer.entry(peer).or_default() += 1;
        let most = by_peer.values().max().copied().unwrap();
        assert_eq!(most, usize::div_ceil(begun, 3), "{by_peer:?}");
    }
    gate.release(30);
}

#[tokio::test]
async fn at_the_maximum_calls_wait_until_their_deadlines() {
    let (server, gate) = gated();
    let server = Running::start(server.limits(calls(1))).await;
    let builder = server.builder().max_connections(2);
    let client = builder.connect().await.unwrap();
    let calls = [(); 2].map(|()| spawn_call(&client, "/held", "x"));
    gate.entered_by(2).await;
    let late = call_within(&client, "/echo", Duration::from_millis(20)).await;
    assert!(late.is_deadline(), "{late}");
    assert_eq!(late.outcome(), Outcome::NotSent);
    assert!(late.to_string().contains("max_connections"), "{late}");
    assert!(late.to_string().contains(&server.address), "{late}");
    assert_eq!(client.connections(), 2);

    let waiting = spawn_call(&client, "/echo", "waited");
    gate.release(1);
    assert_eq!(limited(waiting).await.unwrap().unwrap(), "waited");
    gate.release(1);
    for call in calls {
        limited(call).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn only_so_many_calls_may_wait() {
    let (server, gate) = gated();
    let server = Running::start(server.limits(calls(1))).await;
    let builder = server.builder().max_connections(1).max_waiting(2);
    let client = builder.connect().await.unwrap();
    let held = spawn_call(&client, "/held", "x");
    gate.entered().await;
    let waiting = [(); 2].map(|()| spawn_call(&client, "/echo", "waited"));
    let mut refused = None;
    // The two take their places when they are polled first.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        refused = Some(client.call("/echo", "x").await.unwrap_err());
    }
    let refused = refused.unwrap();
    assert_eq!(refused.kind(), &ErrorKind::QueueFull);
    assert_eq!(refused.outcome(), Outcome::NotSent);
    assert!(refused.to_string().contains("max_waiting"), "{refused}");
    gate.release(1);
    limited(held).await.unwrap().unwrap();
    for call in waiting {
        assert_eq!(limited(call).await.unwrap().unwrap(), "waited");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_gives_up_its_place() {
    let (server, gate) = gated();
    let server = Running::start(server.limits(calls(1))).await;
    let builder = server.builder().max_connections(1).max_waiting(1);
    let client = builder.connect().await.unwrap();
    let held = spawn_call(&client, "/held", "x");
    gate.entered().await;
    for _ in 0..10 {
        let late = call_within(&client, "/echo", Duration::from_millis(2)).await;
        assert!(late.is_deadline(), "{late}");
        let waiting = spawn_call(&client, "/echo", "x");
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
    }
    gate.release(1);
    limited(held).await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_that_wait_are_served_in_their_order() {
    let (server, gate) = gated();
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let note = handler_fn(move |request: Incoming| {
        noted.lock().unwrap().push(request.data().clone());
        async move { Ok(request.into_data()) }
    });
    let server = Running::start(server.handler("/note", note).limits(calls(1))).await;
    let client = server.builder().max_connections(1).connect().await.unwrap();
    let held = spawn_call(&client, "/held", "x");
    gate.entered().await;
    let mut waiting = Vec::new();
    for data in ["0", "gone", "1", "2", "gone", "3", "4"] {
        waiting.push((data, spawn_call(&client, "/note", data)));
        tokio::task::yield_now().await;
    }
    // One that takes the connection it is given and begins no call on it holds up nobody.
    let idler = client.clone();
    let idle = tokio::spawn(async move { idler.ready(None).await.map(drop) });
    tokio::task::yield_now().await;
    let last = spawn_call(&client, "/note", "5");
    tokio::task::yield_now().await;
    waiting.retain(|(data, call)| {
        let gone = *data == "gone";
        if gone {
            call.abort();
        }
        !gone
    });
    gate.release(1);
    for (_, call) in waiting {
        limited(call).await.unwrap().unwrap();
    }
    limited(last).await.unwrap().unwrap();
    limited(idle).await.unwrap().unwrap();
    limited(held).await.unwrap().unwrap();
    assert_eq!(*order.lock().unwrap(), ["0", "1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_thousand_calls_of_one_borrowed_client() {
    let server = Running::start(echo()).await;
    // Fewer channels than calls: most of them wait.
    let builder = server.builder().limits(calls(16)).max_connections(2);
    let client = builder.connect().await.unwrap();
    let client = &client;
    let calls = (0..1000).map(|call| async move {
        let text = format!("call {call}");
        assert_eq!(client.call("/echo", text.clone()).await.unwrap(), text);
    });
    assert_eq!(limited(join_all(calls)).await.len(), 1000);
    assert!(client.connections() <= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clones_share_the_connections() {
    let server = Running::start(echo()).await;
    let client = server.client().await;
    let clones: Vec<_> = (0..200)
        .map(|clone| {
            let client = client.clone();
            tokio::spawn(async move {
                for call in 0..20 {
                    let text = format!("{clone}/{call}");
                    assert_eq!(client.call("/echo", text.clone()).await.unwrap(), text);
                }
            })
        })
        .collect();
    for clone in clones {
        limited(clone).await.unwrap();
    }
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn channels_granted_one_by_one_grow_up_to_ninety_six() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let builder = server.builder().plain().max_connections(2);
    let client = builder.connect().await.unwrap();
    let calls: Vec<_> = (0..96).map(|_| spawn_call(&client, "/held", "x")).collect();
    let peers: HashSet<_> = gate.entered_by(96).await.into_iter().collect();
    assert_eq!((peers.len(), client.connections()), (1, 1));
    let one_more = spawn_call(&client, "/held", "x");
    assert!(!peers.contains(&gate.entered().await));
    assert_eq!(client.connections(), 2);
    gate.release(97);
    for call in calls.into_iter().chain([one_more]) {
        assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    }
}

/// A native server may grant fewer channels than asked for; then the next ones are asked for one by one, and when there
/// are no more another connection is made.
#[tokio::test]
async fn a_server_that_grants_few_channels_gets_another_connection() {
    let (server, gate) = gated();
    let server = Running::start(server.limits(calls(3))).await;
    let builder = server.builder().max_connections(2);
    let client = builder.connect().await.unwrap();
    for count in 1..=6 {
        spawn_call(&client, "/held", "x");
        gate.entered().await;
        assert_eq!(
            client.connections(),
            if count <= 3 { 1 } else { 2 },
            "{count} calls"
        );
    }
    let late = call_within(&client, "/echo", Duration::from_millis(20)).await;
    assert!(late.is_deadline(), "{late}");
    gate.release(6);
}

#[tokio::test]
async fn a_closed_client_answers_what_is_in_flight_and_takes_no_more() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let client = server.client().await;
    let held = spawn_call(&client, "/held", "x");
    gate.entered().await;
    client.close();
    let refused = client.clone().call("/echo", "x").await.unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Closed);
    assert_eq!(refused.outcome(), Outcome::NotSent);
    assert!(refused.to_string().contains("closed"), "{refused}");
    gate.release(1);
    assert_eq!(limited(held).await.unwrap().unwrap(), "x");
    eventually("no connection", || client.connections() == 0).await;
}

#[tokio::test]
async fn a_client_closed_while_it_connects_keeps_no_connection() {
    let server = FakeServer::bind().await;
    let client = Client::builder(server.address.parse().unwrap()).connect_lazy();
    let call = spawn_call(&client, "/x", "x");
    let mut peer = server.accept().await;
    client.close();
    let error = limited(call).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Closed);
    peer.greet(8).await;
    assert!(peer.rest().await.is_empty());
    eventually("no connection", || client.connections() == 0).await;
}

#[tokio::test]
async fn connections_end_when_the_last_clone_is_dropped() {
    let server = FakeServer::bind().await;
    let builder = Client::builder(server.address.parse().unwrap());
    let (client, mut peer) = tokio::join!(builder.connect(), async {
        let mut peer = server.accept().await;
        peer.greet(8).await;
        peer
    });
    let client = client.unwrap();
    let other = client.clone();
    let call = tokio::spawn(async move { other.call("/x", "x").await });
    let request = peer.expect().await;
    drop(client);
    peer.send(frame(5, "/", request.channel().0, "y")).await;
    assert_eq!(limited(call).await.unwrap().unwrap(), "y");
    // The call had the last clone.
    assert!(peer.rest().await.is_empty());
}

#[tokio::test]
async fn an_address_without_a_server_says_so() {
    let unused = FakeServer::bind().await;
    let address = unused.address.clone();
    drop(unused);
    let client = Client::builder(address.parse().unwrap());
    let error = client.connect().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Connect);
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(error.is_connection());
    assert!(error.to_string().contains(&address), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

/// Calls are spread without a lock around the choice, so that one may lose its channel to another and has to choose
/// again. None is lost by that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_race_for_the_last_channel_all_get_one_in_the_end() {
    let server = Running::start(echo().limits(calls(1))).await;
    let builder = server.builder().max_connections(2);
    let client = builder.connect().await.unwrap();
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..250 {
                    client.call("/echo", "x").await.unwrap();
                    DONE.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for caller in callers {
        limited(caller).await.unwrap();
    }
    assert_eq!(DONE.load(Ordering::Relaxed), 2000);
}
