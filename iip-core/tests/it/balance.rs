//! What policies do to a fleet of servers, in virtual time; and that picking allocates nothing.

mod allocations;
mod fleet;

use std::sync::Arc;
use std::time::Duration;

use iip_core::balance::{ConsistentHash, LeastPending, PeakEwma, Policy, Random, RoundRobin};

use fleet::{Fleet, Outcome, Service};

/// Which of ten servers is slow, and how many times longer its calls take, at half of the load that the healthy fleet could carry.
const SLOW: usize = 3;
const SLOWER: f64 = 10.0;

fn fleet() -> Fleet {
    Fleet {
        slowness: vec![1.0; 10],
        weights: vec![1; 10],
        workers: 4,
        clients: 10,
        load: 0.5,
        service: Service::Exponential,
        heals: None,
        calls: 30_000,
        seed: 1,
    }
}

fn with_a_slow_one(fleet: &Fleet) -> Fleet {
    let mut fleet = fleet.clone();
    fleet.slowness[SLOW] = SLOWER;
    fleet
}

/// Few clients and many, calls that all cost the same and calls that differ, servers that do one thing at a time and some
/// that do many.
fn fleets() -> impl Iterator<Item = Fleet> {
    let services = [Service::Fixed, Service::Exponential, Service::Mixed];
    services.into_iter().flat_map(|service| {
        [(1, 4), (10, 4), (50, 4), (10, 1), (10, 32)]
            .into_iter()
            .map(move |(clients, workers)| Fleet {
                service,
                clients,
                workers,
                ..fleet()
            })
    })
}

fn peak_ewma(seed: u64) -> Arc<dyn Policy> {
    Arc::new(PeakEwma::default().seed(seed))
}

fn least_pending(seed: u64) -> Arc<dyn Policy> {
    Arc::new(LeastPending::default().seed(seed))
}

fn round_robin(seed: u64) -> Arc<dyn Policy> {
    Arc::new(RoundRobin::default().seed(seed))
}

fn random(seed: u64) -> Arc<dyn Policy> {
    Arc::new(Random::default().seed(seed))
}

fn consistent_hash(seed: u64) -> Arc<dyn Policy> {
    Arc::new(ConsistentHash::default().seed(seed))
}

/// How many times longer the latency of this percentile is than in the healthy fleet under the same policy, and the part
/// of the calls at the slow server.
fn beside_healthy(
    fleet: &Fleet,
    policy: fn(u64) -> Arc<dyn Policy>,
    percentile: f64,
) -> (f64, f64) {
    let (healthy, slow) = (fleet.run(&policy), with_a_slow_one(fleet).run(&policy));
    let seconds = |outcome: &Outcome| outcome.percentile(percentile).as_secs_f64();
    (seconds(&slow) / seconds(&healthy), slow.share(SLOW))
}

#[test]
fn peak_ewma_keeps_p99_beside_a_slow_server() {
    for fleet in fleets() {
        let (times, share) = beside_healthy(&fleet, peak_ewma, 99.0);
        assert!(times <= 1.5, "p99 is {times:.2} times that of {fleet:?}");
        assert!(share <= 0.02, "{share:.4} of the calls of {fleet:?}");
    }
}

#[test]
fn least_pending_keeps_p95_beside_a_slow_server_and_sends_it_few_calls() {
    for fleet in fleets() {
        let (times, share) = beside_healthy(&fleet, least_pending, 95.0);
        assert!(times <= 1.5, "p95 is {times:.2} times that of {fleet:?}");
        assert!(share <= 0.03, "{share:.4} of the calls of {fleet:?}");
    }
}

/// The bound of the load is not for this, and does it too.
#[test]
fn a_bounded_consistent_hash_keeps_p90_beside_a_slow_server() {
    for fleet in fleets().filter(|fleet| fleet.clients <= 10 && fleet.workers == 4) {
        let (times, share) = beside_healthy(&fleet, consistent_hash, 90.0);
        assert!(times <= 2.0, "p90 is {times:.2} times that of {fleet:?}");
        assert!(share <= 0.04, "{share:.4} of the calls of {fleet:?}");
    }
}

/// Or the other tests would show nothing.
#[test]
fn policies_that_take_no_notice_do_not() {
    for policy in [round_robin, random] {
        let (times, share) = beside_healthy(&fleet(), policy, 95.0);
        assert!(times > 100.0, "{times}");
        assert!((0.09..0.11).contains(&share), "{share}");
    }
}

#[test]
fn weighted_round_robin_is_exact_however_servers_fare() {
    let weights = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 55];
    let fleet = Fleet {
        clients: 1,
        calls: 30_000,
        weights: weights.clone(),
        ..with_a_slow_one(&fleet())
    };
    let exact = weights.iter().map(|&weight| 300 * usize::from(weight));
    assert_eq!(fleet.run(&round_robin).calls, exact.collect::<Vec<_>>());
    // Of several clients each may be within a round.
    let outcome = Fleet {
        clients: 10,
        ..fleet
    }
    .run(&round_robin);
    for (calls, weight) in outcome.calls.iter().zip(weights) {
        let (expected, within) = (300 * usize::from(weight), 10 * usize::from(weight));
        assert!(
            calls.abs_diff(expected) <= within,
            "{calls}, not {expected}"
        );
    }
}

/// Some servers carry four times what others do, and their weight says so.
#[test]
fn weights_let_each_server_carry_what_it_can() {
    let weights = vec![4, 4, 4, 4, 1, 1, 1, 1, 1, 1];
    let capacity = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    let fleet = Fleet {
        slowness: weights
            .iter()
            .map(|&weight| 1.0 / f64::from(weight))
            .collect(),
        // Of ten servers of average speed.
        load: 0.7 * capacity / 10.0,
        weights: weights.clone(),
        ..fleet()
    };
    let parts = |outcome: &Outcome| {
        let part = |(server, &weight)| outcome.share(server) * capacity / f64::from(weight);
        weights.iter().enumerate().map(part).collect::<Vec<f64>>()
    };
    for policy in [least_pending, round_robin, random] {
        let parts = parts(&fleet.run(&policy));
        assert!(
            parts.iter().all(|part| (0.9..1.1).contains(part)),
            "{parts:.2?}"
        );
    }
    // Where there is a choice, it takes the faster one, though not all the time.
    let outcome = fleet.run(&peak_ewma);
    let parts = parts(&outcome);
    assert!(
        parts.iter().all(|part| (0.2..1.4).contains(part)),
        "{parts:.2?}"
    );
    assert!(outcome.percentile(99.0) < fleet.run(&round_robin).percentile(99.0));
}

#[test]
fn a_server_that_is_fast_again_has_its_share_again() {
    for policy in [peak_ewma, least_pending, consistent_hash] {
        let fleet = Fleet {
            calls: 120_000,
            heals: Some(Duration::from_secs(15)),
            ..with_a_slow_one(&fleet())
        };
        let outcome = fleet.run(&policy);
        // From 45 s to 60 s.
        let last = outcome.last[SLOW];
        assert!((2_400..3_600).contains(&last), "{:?}", outcome.last);
    }
}

#[test]
fn a_seed_is_one_history() {
    for policy in [
        peak_ewma,
        least_pending,
        round_robin,
        random,
        consistent_hash,
    ] {
        let fleet = Fleet {
            calls: 5_000,
            ..with_a_slow_one(&fleet())
        };
        let other = Fleet {
            seed: 2,
            ..fleet.clone()
        };
        assert_eq!(fleet.run(&policy), fleet.run(&policy));
        assert_ne!(fleet.run(&policy), other.run(&policy));
    }
}
