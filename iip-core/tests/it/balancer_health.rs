//! Endpoints that are connected and yet fail: how they are ejected, probed, and come back. In memory and virtual time.

use std::time::Duration;

use iip_core::balance::{
    Balancer, BalancerBuilder, Discover, DiscoverError, Ejection, EndpointId, EndpointState,
    LeastPending, Pick, Picked, RoundRobin, Static, Target, Verdict,
};
use iip_core::transport::Address;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::running::{Running, echo, eventually, limited};

const NAMES: [&str; 4] = ["health-a", "health-b", "health-c", "health-d"];

/// Servers in memory under names of this test alone, and a balancer that is connected to all of them.
struct World {
    servers: Vec<Running>,
    balancer: Balancer,
}

fn target(test: &str, name: &str) -> Target {
    Target::new(Address::memory(&format!("{test}-{name}")).expect("a name"))
}

async fn serve(target: &Target) -> Running {
    Running::start_on(echo(), &target.address().to_string()).await
}

impl World {
    async fn of(
        test: &str,
        count: usize,
        configure: impl FnOnce(BalancerBuilder) -> BalancerBuilder,
    ) -> Self {
        let targets: Vec<_> = NAMES[..count]
            .iter()
            .map(|name| target(test, name))
            .collect();
        let mut servers = Vec::new();
        for target in &targets {
            servers.push(serve(target).await);
        }
        let builder = Balancer::builder(Static::new(targets)).policy(RoundRobin::default());
        let balancer = limited(configure(builder).connect())
            .await
            .expect("an endpoint");
        let world = Self { servers, balancer };
        world
            .eventually(|states| states.iter().all(|state| state.connections == 1))
            .await;
        world
    }

    async fn eventually(&self, is_true: impl Fn(&[EndpointState]) -> bool) {
        eventually("a state", || is_true(&self.balancer.endpoints())).await;
    }

    fn state(&self, index: usize) -> EndpointState {
        self.balancer.endpoints().swap_remove(index)
    }

    fn ids(&self) -> Vec<EndpointId> {
        let states = self.balancer.endpoints().into_iter();
        states.map(|state| state.id).collect()
    }

    async fn pick(&self) -> Picked {
        let pick = Pick::new(Instant::now().into_std());
        limited(self.balancer.pick(&pick, &[], None))
            .await
            .expect("an endpoint")
    }

    /// So many calls, of which those at these endpoints fail. How many there were at each.
    async fn calls(&self, count: usize, failing: &[EndpointId]) -> Vec<usize> {
        let ids = self.ids();
        let mut calls = vec![0; ids.len()];
        for _ in 0..count {
            let mut picked = self.pick().await;
            let id = picked.endpoint().id();
            picked.finish(match failing.contains(&id) {
                true => Verdict::Failure,
                false => Verdict::Success,
            });
            let index = ids.iter().position(|known| *known == id);
            calls[index.expect("a known one")] += 1;
        }
        calls
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_is_ejected_probed_and_returns_gradually() {
    let world = World::of("returns", 3, |builder| builder).await;
    let ids = world.ids();
    assert_eq!(
        world.calls(300, &ids[..1]).await[0],
        5,
        "as many as failed in a row"
    );
    let state = world.state(0);
    assert_eq!((state.ejections, state.connections), (1, 1));
    let probe_at = state.ejected_until.expect("ejected");
    assert_eq!(probe_at, (Instant::now() + seconds(5)).into_std());
    assert_eq!(world.calls(100, &[]).await[0], 0);

    // It fails still: one call is lost every five seconds.
    for _ in 0..4 {
        sleep(seconds(5)).await;
        assert_eq!(world.calls(100, &ids[..1]).await[0], 1);
    }
    sleep(seconds(5)).await;
    // The first is the probe, and what follows a small part of its share.
    let calls = world.calls(300, &[]).await[0];
    assert!((1..=30).contains(&calls), "{calls}");
    assert_eq!(world.state(0).ejected_until, None);
    assert!(world.state(0).ramp < 0.1);
    sleep(seconds(3)).await;
    let calls = world.calls(3000, &[]).await[0];
    assert!(
        (400..=850).contains(&calls),
        "{calls} of 1000 after 3 of 5 s"
    );
    sleep(seconds(3)).await;
    assert_eq!(world.state(0).ramp, 1.0);
    assert_eq!(world.calls(300, &[]).await, [100, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn the_ramp_ends_with_another_ejection() {
    let world = World::of("ramp", 3, |builder| builder).await;
    let ids = world.ids();
    world.calls(300, &ids[..1]).await;
    sleep(seconds(5)).await;
    world.calls(1, &[]).await;
    assert_eq!(world.state(0).ejected_until, None);
    world.calls(10_000, &ids[..1]).await;
    assert_eq!(world.state(0).ejections, 2);
    sleep(seconds(4)).await;
    // Nobody has set its ramp since.
    assert_eq!(world.state(0).ramp, 1.0);
    sleep(seconds(1)).await;
    world.calls(1, &[]).await;
    let ramp = world.state(0).ramp;
    sleep(seconds(5)).await;
    let half = world.state(0).ramp;
    assert!(
        ramp < 0.1 && (0.4..0.6).contains(&half),
        "{ramp} {half}: 10 s the second time"
    );
}

#[tokio::test(start_paused = true)]
async fn at_most_half_of_the_endpoints_are_ejected() {
    for (count, most) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let world = World::of(&format!("half-{count}"), count, |builder| builder).await;
        let ids = world.ids();
        let calls = world.calls(400, &ids).await;
        let states = world.balancer.endpoints();
        let ejected = states.iter().filter(|state| state.ejected_until.is_some());
        assert_eq!(ejected.count(), most, "{count}");
        let left = calls.iter().filter(|calls| **calls > 5).count();
        assert_eq!(left, count - most, "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_nothing_else_is_left_the_ejected_take_the_calls() {
    let mut world = World::of("panic", 2, |builder| builder).await;
    let ids = world.ids();
    world.calls(20, &ids[..1]).await;
    assert!(world.state(0).ejected_until.is_some());
    world.servers.remove(1).kill().await;
    world.eventually(|states| states[1].connections == 0).await;
    assert_eq!(world.calls(20, &[]).await, [20, 0]);
    assert!(
        world.state(0).ejected_until.is_some(),
        "these calls were no probes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_replaced_is_probed_at_once() {
    let mut world = World::of("replaced", 3, |builder| builder).await;
    let ids = world.ids();
    world.calls(20, &ids[..1]).await;
    assert!(world.state(0).ejected_until.is_some());
    world.servers.remove(0).kill().await;
    world.eventually(|states| states[0].connections == 0).await;
    let _server = serve(&target("replaced", NAMES[0])).await;
    world.eventually(|states| states[0].connections == 1).await;
    assert_eq!(world.calls(1, &[]).await, [1, 0, 0], "the probe");
    assert!(world.state(0).ejected_until.is_none());
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_given_up_say_nothing() {
    let world = World::of("neutral", 2, |builder| builder).await;
    for _ in 0..1000 {
        drop(world.pick().await);
        world.pick().await.finish(Verdict::Neutral);
    }
    let states = world.balancer.endpoints();
    assert!(
        states
            .iter()
            .all(|state| state.ejected_until.is_none() && state.failures == 0)
    );
    assert!(
        states
            .iter()
            .all(|state| state.latency.is_none() && state.in_flight == 0)
    );
    let ids = world.ids();
    world.calls(20, &ids[..1]).await;
    sleep(seconds(5)).await;
    let probe = world.pick().await;
    assert_eq!(probe.endpoint().id(), ids[0]);
    drop(probe);
    assert!(world.state(0).ejected_until.is_some());
    // The report counts once, and the first one.
    sleep(seconds(5)).await;
    let mut probe = world.pick().await;
    probe.finish(Verdict::Success);
    probe.finish(Verdict::Failure);
    assert!(world.state(0).ejected_until.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_after_another_is_no_probe() {
    let world = World::of("attempts", 3, |builder| builder).await;
    let ids = world.ids();
    world.calls(20, &ids[..1]).await;
    sleep(seconds(5)).await;
    let pick = Pick::new(Instant::now().into_std()).with_attempt(1);
    for _ in 0..20 {
        let picked = limited(world.balancer.pick(&pick, &ids[1..2], None))
            .await
            .unwrap();
        assert_eq!(picked.endpoint().id(), ids[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_is_ejected_if_that_is_asked_for() {
    let slow = |builder: BalancerBuilder| {
        builder.ejection(
            Ejection::default()
                .latency_factor(3.0)
                .consecutive_failures(None),
        )
    };
    let world = World::of("slow", 3, slow).await;
    let ids = world.ids();
    let mut ejected = None;
    for _ in 0..600 {
        let mut picked = world.pick().await;
        let is_slow = picked.endpoint().id() == ids[2];
        sleep(Duration::from_millis(if is_slow { 50 } else { 10 })).await;
        picked.finish(Verdict::Success);
        drop(picked);
        let states = world.balancer.endpoints();
        ejected = states
            .iter()
            .position(|state| state.ejected_until.is_some());
        if ejected.is_some() {
            break;
        }
    }
    assert_eq!(ejected, Some(2));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_ejected_if_that_is_switched_off() {
    let world = World::of("off", 2, |builder| {
        builder
            .ejection(Ejection::off())
            .policy(LeastPending::default())
    })
    .await;
    let ids = world.ids();
    world.calls(200, &ids[..1]).await;
    assert!(world.state(0).ejected_until.is_none());
}

/// Lists that come one by one.
#[derive(Debug)]
struct Lists(mpsc::UnboundedReceiver<Vec<Target>>);

#[async_trait::async_trait]
impl Discover for Lists {
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
        match self.0.recv().await {
            Some(list) => Ok(list),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fewer_endpoints_may_be_ejected_of_a_shorter_list() {
    let targets: Vec<_> = NAMES.iter().map(|name| target("shorter", name)).collect();
    let mut servers = Vec::new();
    for target in &targets {
        servers.push(serve(target).await);
    }
    let (feed, lists) = mpsc::unbounded_channel();
    feed.send(targets.clone()).expect("a balancer");
    let builder = Balancer::builder(Lists(lists)).policy(RoundRobin::default());
    let balancer = limited(builder.connect()).await.expect("an endpoint");
    let world = World { servers, balancer };
    world
        .eventually(|states| states.iter().all(|state| state.connections == 1))
        .await;
    let ids = world.ids();
    world.calls(16, &ids[..1]).await;
    sleep(seconds(1)).await;
    world.calls(40, &ids[..2]).await;
    let ejected = |states: &[EndpointState]| -> Vec<bool> {
        let states = states.iter();
        states.map(|state| state.ejected_until.is_some()).collect()
    };
    assert_eq!(
        ejected(&world.balancer.endpoints()),
        [true, true, false, false]
    );
    feed.send(targets[..3].to_vec()).expect("a balancer");
    world.eventually(|states| states.len() == 3).await;
    let states = world.balancer.endpoints();
    assert_eq!(
        ejected(&states),
        [false, true, false],
        "who was ejected first returns"
    );
}
