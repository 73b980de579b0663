//! What holds for every policy.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::rig_tests::endpoints;
use crate::balance::{
    ConsistentHash, Endpoint, LeastPending, PeakEwma, Pick, PickFirst, Policy, Random, RoundRobin,
};

fn all() -> [Arc<dyn Policy>; 6] {
    [
        Arc::new(RoundRobin::default().seed(1)),
        Arc::new(Random::default().seed(1)),
        Arc::new(LeastPending::default().seed(1)),
        Arc::new(PeakEwma::default().seed(1)),
        Arc::new(ConsistentHash::default().seed(1)),
        Arc::new(PickFirst::default()),
    ]
}

/// What 1,000 calls get, with and without a key.
fn picks(policy: &dyn Policy, endpoints: &[Arc<Endpoint>]) -> Vec<Option<usize>> {
    let (picker, now) = (policy.picker(endpoints), Instant::now());
    (0..1000u64)
        .map(|number| {
            let pick = Pick::new(now).with_attempt((number % 5) as u32);
            picker.pick(&if number % 2 == 0 {
                pick
            } else {
                pick.with_key(number)
            })
        })
        .collect()
}

#[test]
fn of_no_endpoints_none_is_picked() {
    for policy in all() {
        assert!(
            picks(&policy, &[]).iter().all(Option::is_none),
            "{policy:?}"
        );
    }
}

#[test]
fn of_any_others_one_of_them_is() {
    for policy in all() {
        for count in [1, 2, 3, 17, 300] {
            let weights: Vec<u8> = (0..count).map(|index| (index % 100) as u8 + 1).collect();
            let found = picks(&policy, &endpoints(&weights));
            let within = |pick: &Option<usize>| pick.is_some_and(|index| index < count);
            assert!(found.iter().all(within), "{policy:?}, {count} endpoints");
        }
    }
}

#[test]
fn the_same_seed_places_calls_in_the_same_way() {
    for (one, other) in all().into_iter().zip(all()) {
        let endpoints = endpoints(&[3, 1, 4, 1, 5]);
        assert_eq!(picks(&one, &endpoints), picks(&other, &endpoints));
    }
}

#[test]
fn endpoints_come_and_go() {
    for policy in all() {
        let all = endpoints(&[1, 2, 3, 4, 5, 6, 7, 8]);
        for number in 0..=u8::MAX {
            let there = |index: usize| number >> index & 1 == 1;
            let some: Vec<_> = (0..8)
                .filter(|&index| there(index))
                .map(|index| Arc::clone(&all[index]))
                .collect();
            let found = picks(&policy, &some);
            let right = |pick: &Option<usize>| match pick {
                Some(index) => *index < some.len(),
                None => some.is_empty(),
            };
            assert!(found.iter().all(right), "{policy:?}, {number:08b}");
        }
    }
}
