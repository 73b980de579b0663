//! Calls that are made again at another of many servers.

use std::sync::Arc;
use std::time::Duration;

use iip_rpc::client::{ChannelBuilder, CircuitBreaker, Hedge, Retry};
use iip_rpc::iip_core::balance::{Ejection, RoundRobin};
use iip_rpc::iip_core::session::Limits;
use iip_rpc::testing::{Faults, Relay};
use iip_rpc::{Channel, Code, Outcome, Status};
use tokio::time::{Instant, sleep};

use crate::retries::{AGAIN, Act, PLAIN, READ, Seen, call, serve};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Three servers behind relays, the handlers of the first of which do so, and a channel to all.
struct Fleet {
    seen: [Arc<Seen>; 3],
    relays: Vec<Relay>,
}

impl Fleet {
    async fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let seen = [Seen::new(acts), Seen::new([]), Seen::new([])];
        let mut relays = Vec::new();
        for seen in &seen {
            let target = serve(seen).await.parse().unwrap();
            relays.push(Faults::new(1).relay(&target));
        }
        Self { seen, relays }
    }

    fn builder(&self) -> ChannelBuilder {
        let addresses = self.relays.iter().map(|relay| relay.address().to_string());
        Channel::builder(addresses.collect::<Vec<_>>().join(","))
            .balance(RoundRobin::default())
            .outlier_ejection(Ejection::off())
    }

    async fn connect(&self, builder: ChannelBuilder) -> Channel {
        let channel = builder.connect().await.unwrap();
        // All of them are connected to before the first call.
        for _ in 0..1000 {
            let endpoints = channel.endpoints();
            if endpoints.iter().all(|endpoint| endpoint.connections > 0) {
                return channel;
            }
            sleep(MILLISECOND).await;
        }
        panic!("{:?}", channel.endpoints());
    }

    /// So many calls were made; those that came to the first server ran once more, and not there.
    fn each_but_the_first_has_answered(&self, calls: usize) {
        let [first, second, third] = [0, 1, 2].map(|index| self.seen[index].runs());
        assert_eq!(second + third, calls, "{first} {second} {third}");
        assert!((calls / 3..calls * 2 / 3).contains(&first), "{first}");
    }
}

fn down() -> Act {
    Act::Fail(Status::unavailable("down"))
}

#[tokio::test(start_paused = true)]
async fn another_server_is_tried() {
    let fleet = Fleet::new((0..100).map(|_| down())).await;
    let channel = fleet.connect(fleet.builder()).await;
    for _ in 0..30 {
        call(&channel, &READ).await.unwrap();
    }
    fleet.each_but_the_first_has_answered(30);
}

/// Round robin among two servers comes back to the one that failed exactly when its call is made again, if it came
/// first: which one does is drawn for each channel.
#[tokio::test(start_paused = true)]
async fn a_server_that_was_tried_is_not_tried_again() {
    for number in 0..20 {
        let late = Act::Late(10 * MILLISECOND, Status::unavailable("down"));
        let mut fleet = Fleet::new([late]).await;
        fleet.relays.pop();
        let mut builder = fleet.builder();
        if number % 2 == 0 {
            // Then not even the first attempt is made in the short way.
            builder = builder.circuit_breaker(CircuitBreaker::new());
        }
        let channel = fleet.connect(builder).await;
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let channel = channel.clone();
                tokio::spawn(async move { call(&channel, &READ).await })
            })
            .collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!((fleet.seen[0].runs(), fleet.seen[1].runs()), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_goes_to_another_server() {
    let fleet = Fleet::new((0..100).map(|_| Act::Hang)).await;
    let builder = fleet.builder().hedge(Hedge::after(20 * MILLISECOND));
    let channel = fleet.connect(builder).await;
    for _ in 0..30 {
        let start = Instant::now();
        call(&channel, &READ).await.unwrap();
        assert!(start.elapsed() <= 21 * MILLISECOND);
    }
    fleet.each_but_the_first_has_answered(30);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_goes_on_elsewhere() {
    let fleet = Fleet::new((0..100).map(|_| Act::Hang)).await;
    let retry = Retry::safe().attempt_timeout(250 * MILLISECOND);
    let channel = fleet.connect(fleet.builder().retry(retry)).await;
    for _ in 0..30 {
        let start = Instant::now();
        call(&channel, &AGAIN).await.unwrap();
        assert!(start.elapsed() <= 301 * MILLISECOND);
    }
    fleet.each_but_the_first_has_answered(30);
}

/// The connections of one server after the other are cut, with calls in progress.
#[tokio::test(start_paused = true)]
async fn connections_that_are_cut_cost_no_call_that_may_run_twice() {
    let fleet = Fleet::new([]).await;
    let channel = fleet.connect(fleet.builder()).await;
    for round in 0..30 {
        for seen in &fleet.seen {
            seen.push((0..10).map(|_| Act::Wait(10 * MILLISECOND)));
        }
        let calls: Vec<_> = (0..12)
            .map(|number| {
                let channel = channel.clone();
                let method = if number < 6 { &AGAIN } else { &PLAIN };
                tokio::spawn(async move { call(&channel, method).await })
            })
            .collect();
        sleep(5 * MILLISECOND).await;
        fleet.relays[round % 3].cut();
        let mut unknown = 0;
        for (number, call) in calls.into_iter().enumerate() {
            match call.await.unwrap() {
                Ok(_) => {}
                Err(status) => {
                    assert!(number >= 6, "{status}");
                    assert_eq!(status.outcome(), Some(Outcome::Unknown), "{status}");
                    unknown += 1;
                }
            }
        }
        assert_eq!(unknown, 2);
        sleep(Duration::from_secs(10)).await;
    }
}

/// Where too many calls wait already, they wait for all servers: the call is not tried at one after the other, again and
/// again until its deadline.
#[tokio::test]
async fn a_call_that_cannot_even_wait_fails_at_once() {
    let fleet = Fleet::new([]).await;
    let builder = fleet
        .builder()
        .limits(Limits::default().max_channels(1))
        .max_connections(1)
        .max_waiting(0)
        .timeout(Duration::from_secs(60));
    let channel = fleet.connect(builder).await;
    for seen in &fleet.seen {
        seen.push([Act::Hang]);
    }
    for _ in &fleet.seen {
        let channel = channel.clone();
        tokio::spawn(async move { call(&channel, &PLAIN).await });
    }
    while fleet.seen.iter().any(|seen| seen.runs() == 0) {
        sleep(MILLISECOND).await;
    }
    for method in [&PLAIN, &AGAIN, &READ] {
        let status = call(&channel, method)
            .await
            .expect_err("no channel is free");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
        assert_eq!(status.attempts(), 1);
    }
}
