//! Many endpoints behind one name: which of them calls go to, and that none is lost while they come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use iip_core::balance::{
    Balancer, BalancerBuilder, Discover, DiscoverError, EndpointState, Pick, PickFirst, RoundRobin,
    Static, Target, Targets, Weight,
};
use iip_core::client::{BackoffConfig, ClientBuilder};
use iip_core::server::{Incoming, Server, ServerBuilder, handler_fn};
use iip_core::transport::{Address, MemoryListener};
use iip_core::{ErrorKind, Outcome};
use tokio::sync::mpsc;

use crate::running::{Gate, Running, echo_handler, eventually, limited};

/// A server that answers `/name` with its name.
fn named(name: &'static str) -> ServerBuilder {
    let answer =
        handler_fn(move |_: Incoming| async move { Ok(Bytes::from_static(name.as_bytes())) });
    Server::builder()
        .handler("/name", answer)
        .handler("/echo", echo_handler())
}

async fn three() -> [Running; 3] {
    [
        Running::start(named("a")).await,
        Running::start(named("b")).await,
        Running::start(named("c")).await,
    ]
}

fn target(server: &Running) -> Target {
    server.address.parse().expect("a target")
}

fn over(servers: &[Running]) -> BalancerBuilder {
    let targets = servers.iter().map(target);
    Balancer::builder(Static::new(targets)).policy(RoundRobin::default())
}

/// A balancer that is connected to all of its endpoints.
async fn connected(builder: BalancerBuilder, endpoints: usize) -> Balancer {
    let balancer = limited(builder.connect()).await.expect("an endpoint");
    let connected = || connections(&balancer) == vec![1; endpoints];
    eventually("a connection to each endpoint", connected).await;
    balancer
}

fn connections(balancer: &Balancer) -> Vec<usize> {
    let endpoints = balancer.endpoints().into_iter();
    endpoints.map(|endpoint| endpoint.connections).collect()
}

/// How often each server answers so many calls, one after the other.
async fn answers(balancer: &Balancer, calls: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..calls {
        let name = limited(balancer.call("/name", "x"))
            .await
            .expect("an answer");
        let name = String::from_utf8_lossy(&name).into_owned();
        *answers.entry(name).or_default() += 1;
    }
    answers
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let pairs = expected.iter();
    pairs
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

/// A list of endpoints that the test replaces.
#[derive(Debug)]
struct Fed(mpsc::UnboundedReceiver<Result<Vec<Target>, DiscoverError>>);

type Feed = mpsc::UnboundedSender<Result<Vec<Target>, DiscoverError>>;

fn fed() -> (Feed, Fed) {
    let (feed, lists) = mpsc::unbounded_channel();
    (feed, Fed(lists))
}

#[async_trait::async_trait]
impl Discover for Fed {
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
        match self.0.recv().await {
            Some(list) => list,
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn calls_are_spread_and_go_on_when_a_server_is_killed() {
    let servers = [
        Running::start(named("a")).await,
        Running::start_on(named("b"), "memory://balance-killed").await,
        Running::start(named("c")).await,
    ];
    let balancer = connected(over(&servers), 3).await;
    let even = counts(&[("a", 10), ("b", 10), ("c", 10)]);
    assert_eq!(answers(&balancer, 30).await, even);
    let [a, b, c] = servers;
    b.kill().await;
    eventually("b is known to be gone", || {
        connections(&balancer) == [1, 0, 1]
    })
    .await;
    assert_eq!(
        answers(&balancer, 30).await,
        counts(&[("a", 15), ("c", 15)])
    );
    let gone = &balancer.endpoints()[1];
    assert_eq!(gone.in_flight, 0);

    let b = Running::start_on(named("b"), &gone.address.to_string()).await;
    eventually("b is back", || connections(&balancer) == [1, 1, 1]).await;
    assert_eq!(answers(&balancer, 30).await, even);
    for server in [a, b, c] {
        server.stop().await;
    }
}

#[tokio::test]
async fn weights_are_kept() {
    let servers = three().await;
    let weights = [1, 2, 5].map(|weight| Weight::new(weight).unwrap());
    let targets = std::iter::zip(&servers, weights)
        .map(|(server, weight)| target(server).with_weight(weight));
    let builder = Balancer::builder(Static::new(targets)).policy(RoundRobin::default());
    let balancer = connected(builder, 3).await;
    let expected = counts(&[("a", 10), ("b", 20), ("c", 50)]);
    assert_eq!(answers(&balancer, 80).await, expected);
}

#[tokio::test]
async fn endpoints_come_and_go_without_losing_what_is_known_of_the_others() {
    let servers = three().await;
    let [a, b, c] = [0, 1, 2].map(|index: usize| target(&servers[index]));
    let (feed, lists) = fed();
    feed.send(Ok(vec![a.clone(), b.clone()])).unwrap();
    let builder = Balancer::builder(lists).policy(RoundRobin::default());
    let balancer = connected(builder, 2).await;
    assert_eq!(answers(&balancer, 4).await, counts(&[("a", 2), ("b", 2)]));
    let before = balancer.endpoints();

    let heavy = b.clone().with_weight(Weight::new(3).unwrap());
    feed.send(Ok(vec![heavy, c])).unwrap();
    eventually("the new list", || {
        let now = balancer.endpoints();
        now[0].address == *b.address() && connections(&balancer) == [1, 1]
    })
    .await;
    let after = balancer.endpoints();
    assert_eq!((after[0].id, after[0].weight), (before[1].id, 3));
    assert_eq!(
        after[0].latency, before[1].latency,
        "kept, since no call ended since"
    );
    assert_eq!(answers(&balancer, 8).await, counts(&[("b", 6), ("c", 2)]));

    // Neither a failure nor an empty list changes anything.
    feed.send(Err(DiscoverError::new("lost"))).unwrap();
    feed.send(Ok(Vec::new())).unwrap();
    feed.send(Ok(vec![b.clone()])).unwrap();
    eventually("the last list", || {
        let endpoints = balancer.endpoints();
        assert!(!endpoints.is_empty());
        endpoints.len() == 1
    })
    .await;
    assert_eq!(balancer.endpoints()[0].id, before[1].id);
    assert_eq!(answers(&balancer, 3).await, counts(&[("b", 3)]));
}

#[tokio::test]
async fn a_call_in_flight_ends_well_when_its_endpoint_is_removed() {
    let gate = Gate::new();
    let a = Running::start(named("a").handler("/held", gate.handler())).await;
    let b = Running::start(named("b")).await;
    let (feed, lists) = fed();
    feed.send(Ok(vec![target(&a)])).unwrap();
    let balancer = connected(Balancer::builder(lists), 1).await;
    let held = balancer.clone();
    let held = tokio::spawn(async move { held.call("/held", "x").await });
    gate.entered().await;
    assert_eq!(balancer.endpoints()[0].in_flight, 1);
    feed.send(Ok(vec![target(&b)])).unwrap();
    eventually("the new list", || {
        let endpoints = balancer.endpoints();
        endpoints[0].address == *target(&b).address() && endpoints[0].connections == 1
    })
    .await;
    assert_eq!(answers(&balancer, 3).await, counts(&[("b", 3)]));
    gate.release(1);
    assert_eq!(limited(held).await.unwrap().unwrap(), "x");
    // Its connection has ended: nothing keeps the server from it.
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_while_endpoints_come_and_go() {
    let servers = three().await;
    let [a, b, c] = [0, 1, 2].map(|index: usize| target(&servers[index]));
    let lists = [
        vec![a.clone(), b.clone()],
        vec![b.clone(), c.clone()],
        vec![c.clone()],
        vec![a, b, c],
    ];
    let (feed, source) = fed();
    feed.send(Ok(lists[0].clone())).unwrap();
    let balancer = limited(Balancer::builder(source).connect()).await.unwrap();
    let (calling, mut made) = mpsc::channel(1);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (balancer, calling) = (balancer.clone(), calling.clone());
            tokio::spawn(async move {
                let mut calls = 0;
                // Until nobody asks for more.
                while calling.send(()).await.is_ok() {
                    let answer = balancer.call("/echo", "x").await;
                    assert_eq!(answer.expect("an answer"), "x");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for round in 0..200 {
        feed.send(Ok(lists[round % lists.len()].clone())).unwrap();
        for _ in 0..20 {
            limited(made.recv()).await.expect("a call");
        }
    }
    drop(made);
    let mut calls = 0;
    for caller in callers {
        calls += limited(caller).await.expect("no failure");
    }
    assert!(calls >= 4000, "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_calls_under_way_are_lost_with_a_server() {
    let names = ["balancer-lost-a", "balancer-lost-b", "balancer-lost-c"];
    let address = |name: &str| format!("memory://{name}");
    let mut servers = Vec::new();
    for name in names {
        servers.push(Running::start_on(named("x"), &address(name)).await);
    }
    let at_once = BackoffConfig::default().max(Duration::from_millis(20));
    let template = ClientBuilder::default().backoff(at_once);
    let balancer = connected(over(&servers).client(template), 3).await;
    let (calling, mut made) = mpsc::channel(1);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (balancer, calling) = (balancer.clone(), calling.clone());
            tokio::spawn(async move {
                while calling.send(()).await.is_ok() {
                    if let Err(error) = balancer.call("/echo", "x").await {
                        // Two of three servers are always there.
                        assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
                        assert_eq!(error.kind(), &ErrorKind::Closed, "{error}");
                    }
                }
            })
        })
        .collect();
    drop(calling);
    for round in 0..30 {
        for _ in 0..50 {
            limited(made.recv()).await.expect("a call");
        }
        let which = round % 3;
        servers.remove(which).kill().await;
        eventually("it is known to be gone", || {
            connections(&balancer)[which] == 0
        })
        .await;
        let is_free = || MemoryListener::bind(names[which]).is_ok();
        eventually("its tasks have ended", is_free).await;
        let server = Running::start_on(named("x"), &address(names[which])).await;
        servers.insert(which, server);
        for _ in 0..50 {
            limited(made.recv()).await.expect("a call");
        }
        eventually("all are back", || connections(&balancer) == [1, 1, 1]).await;
    }
    drop(made);
    for caller in callers {
        limited(caller).await.expect("no other failure");
    }
}

/// Addresses at which nobody listens.
fn nobody(names: &[&str]) -> Vec<Target> {
    let address = |name: &&str| Address::memory(name).expect("a name");
    names.iter().map(address).map(Target::new).collect()
}

#[tokio::test]
async fn calls_fail_at_once_when_no_endpoint_can_be_reached() {
    let targets = nobody(&["balance-nobody-1", "balance-nobody-2"]);
    let builder = Balancer::builder(Static::new(targets));
    let error = limited(builder.connect())
        .await
        .expect_err("nobody is there");
    assert_eq!(error.kind(), &ErrorKind::Connect);
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(error.to_string().contains("2 endpoints"), "{error}");
    assert!(error.to_string().contains("balance-nobody-2"), "{error}");

    let (feed, lists) = fed();
    feed.send(Err(DiscoverError::new("the registry is away")))
        .unwrap();
    let error = limited(Balancer::builder(lists).connect()).await;
    let error = error.expect_err("no list");
    assert_eq!(error.kind(), &ErrorKind::Connect);
    assert!(error.to_string().contains("registry is away"), "{error}");
}

#[tokio::test]
async fn calls_fail_at_once_when_the_last_endpoint_is_lost() {
    let servers = [Running::start(named("a")).await];
    let balancer = connected(over(&servers), 1).await;
    let [a] = servers;
    a.kill().await;
    eventually("a cannot be reached", || {
        balancer.endpoints()[0].failure.is_some()
    })
    .await;
    let error = limited(balancer.call("/name", "x"))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind(), &ErrorKind::Connect);
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_an_endpoint_if_they_may() {
    let template = ClientBuilder::default().wait_for_ready();
    let targets = nobody(&["balance-late-1", "balance-late-2"]);
    let balancer = Balancer::builder(Static::new(targets))
        .client(template)
        .connect_lazy();
    let early = limited(balancer.call("/name", "x")).await;
    assert!(early.expect_err("nobody comes").is_deadline());
    let waiting = balancer.clone();
    let waiting = tokio::spawn(async move { waiting.call("/name", "x").await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    let _server = Running::start_on(named("late"), "memory://balance-late-2").await;
    assert_eq!(limited(waiting).await.unwrap().unwrap(), "late");
}

#[tokio::test]
async fn pick_first_connects_to_one_endpoint_at_a_time() {
    let servers = three().await;
    let builder = over(&servers).policy(PickFirst::default());
    let balancer = limited(builder.connect()).await.unwrap();
    assert_eq!(answers(&balancer, 5).await, counts(&[("a", 5)]));
    assert_eq!(connections(&balancer), [1, 0, 0]);
    let [a, b, c] = servers;
    a.kill().await;
    eventually("b stands in", || connections(&balancer) == [0, 1, 0]).await;
    assert_eq!(answers(&balancer, 5).await, counts(&[("b", 5)]));
    b.kill().await;
    eventually("c stands in", || connections(&balancer) == [0, 0, 1]).await;
    assert_eq!(answers(&balancer, 5).await, counts(&[("c", 5)]));
    c.stop().await;
}

#[tokio::test]
async fn calls_stay_near_while_enough_endpoints_are_near() {
    let servers = three().await;
    let zones = ["here", "here", "there"];
    let targets =
        std::iter::zip(&servers, zones).map(|(server, zone)| target(server).with_locality(zone));
    let builder = Balancer::builder(Static::new(targets))
        .policy(RoundRobin::default())
        .locality("here")
        .locality_share(0.6);
    let balancer = connected(builder, 3).await;
    assert_eq!(answers(&balancer, 10).await, counts(&[("a", 5), ("b", 5)]));
    let [a, b, c] = servers;
    a.kill().await;
    eventually("a is known to be gone", || connections(&balancer)[0] == 0).await;
    // One of two is less than 0.6 of them.
    assert_eq!(answers(&balancer, 10).await, counts(&[("b", 5), ("c", 5)]));
    b.stop().await;
    c.stop().await;
}

#[tokio::test]
async fn tried_endpoints_are_avoided_where_there_are_others() {
    let servers = three().await;
    let balancer = connected(over(&servers), 3).await;
    let ids: Vec<_> = balancer
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.id)
        .collect();
    let pick = Pick::new(std::time::Instant::now());
    for _ in 0..10 {
        let picked = limited(balancer.pick(&pick, &ids[..2], None))
            .await
            .unwrap();
        assert_eq!(picked.endpoint().id(), ids[2]);
        assert_eq!(picked.endpoint().in_flight(), 1);
    }
    assert!(balancer.has_others(&ids[..2]));
    assert!(!balancer.has_others(&ids));
    let _ = limited(balancer.pick(&pick, &ids, None))
        .await
        .expect("one of them");
    assert!(
        balancer
            .endpoints()
            .iter()
            .all(|endpoint: &EndpointState| endpoint.in_flight == 0)
    );
}

#[tokio::test]
async fn a_closed_balancer_lets_calls_end_and_takes_no_more() {
    let gate = Gate::new();
    let server = Running::start(named("a").handler("/held", gate.handler())).await;
    let balancer = connected(over(std::slice::from_ref(&server)), 1).await;
    let held = balancer.clone();
    let held = tokio::spawn(async move { held.call("/held", "x").await });
    gate.entered().await;
    balancer.close();
    let error = limited(balancer.call("/name", "x"))
        .await
        .expect_err("closed");
    assert_eq!(error.kind(), &ErrorKind::Closed);
    assert_eq!(error.outcome(), Outcome::NotSent);
    gate.release(1);
    assert_eq!(limited(held).await.unwrap().unwrap(), "x");
    server.stop().await;
}

#[tokio::test]
async fn connections_end_with_the_last_clone() {
    let servers = three().await;
    let balancer = connected(over(&servers), 3).await;
    let clone = balancer.clone();
    drop(balancer);
    assert_eq!(answers(&clone, 3).await.len(), 3);
    drop(clone);
    for server in servers {
        // A server stops when its connections have ended.
        server.stop().await;
    }
}

#[tokio::test]
async fn a_list_as_text() {
    let servers = three().await;
    let text = servers.iter().map(|server| format!("{}#2", server.address));
    let text = text.collect::<Vec<_>>().join(",");
    let targets: Targets = text.parse().expect("a list");
    let builder = Balancer::builder(Static::from(targets)).policy(RoundRobin::default());
    let balancer = connected(builder, 3).await;
    assert_eq!(answers(&balancer, 3).await.len(), 3);
}
