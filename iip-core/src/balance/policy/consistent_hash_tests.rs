use std::collections::HashSet;
use std::time::Instant;

use proptest::prelude::*;

use crate::balance::rig_tests::{assert_by_weight, counted, endpoints};
use crate::balance::{ConsistentHash, InFlight, Pick, Policy};

fn pick(key: u64) -> Pick {
    Pick::new(Instant::now()).with_key(key)
}

#[test]
fn a_key_stays_and_keys_are_spread() {
    let endpoints = endpoints(&[1; 10]);
    let policy = ConsistentHash::default();
    let (one, other) = (policy.picker(&endpoints), policy.picker(&endpoints));
    let mut counts = [0; 10];
    for key in 0..10_000 {
        let index = one.pick(&pick(key)).unwrap();
        assert_eq!(other.pick(&pick(key)), Some(index));
        counts[index] += 1;
    }
    assert!(
        counts.iter().all(|count| (700..1300).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn without_a_key_calls_are_placed_by_weight() {
    let weights = [1, 2, 3];
    let endpoints = endpoints(&weights);
    let picker = ConsistentHash::default().seed(1).picker(&endpoints);
    assert_by_weight(&counted(&*picker, 3, 60_000), &weights);
}

#[test]
fn further_attempts_go_to_others_as_long_as_there_are_any() {
    for count in [1, 2, 3, 8, 20] {
        let endpoints = endpoints(&vec![1; count]);
        let picker = ConsistentHash::default().picker(&endpoints);
        for key in 0..200 {
            let attempt = |attempt| picker.pick(&pick(key).with_attempt(attempt));
            let different = (count as u32).min(8);
            let tried: HashSet<_> = (0..different).map(attempt).collect();
            assert_eq!(tried.len() as u32, different);
            assert_eq!(attempt(count as u32), attempt(0));
            assert!(attempt(u32::MAX).is_some());
        }
    }
}

#[test]
fn attempts_of_many_keys_spread_over_all_others() {
    let endpoints = endpoints(&[1; 10]);
    let picker = ConsistentHash::default().picker(&endpoints);
    let at_first = (0..10_000).filter(|&key| picker.pick(&pick(key)) == Some(0));
    let mut counts = [0; 10];
    for key in at_first {
        counts[picker.pick(&pick(key).with_attempt(1)).unwrap()] += 1;
    }
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|&count| count > 40), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// However uneven the keys are.
    #[test]
    fn no_endpoint_has_more_than_its_part_of_the_load(
        // Of so many each is looked at for each call.
        weights in prop::collection::vec(1u8..=10, 1..=8),
        keys in prop::collection::vec(0u64..4, 1..300),
        factor in 1.1f64..3.0,
    ) {
        let endpoints = endpoints(&weights);
        let picker = ConsistentHash::default().load_factor(factor).picker(&endpoints);
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mut calls: Vec<InFlight> = Vec::new();
        for key in keys {
            let index = picker.pick(&pick(key)).unwrap();
            calls.push(endpoints[index].begin_call());
            let share = f64::from(weights[index]) / total;
            let most = (factor * share * calls.len() as f64 * 1.000_001).ceil();
            let found = endpoints[index].in_flight();
            prop_assert!(found as f64 <= most, "{found} of {most}");
        }
    }
}

#[test]
fn a_hot_key_spills_to_the_same_others_and_goes_home_when_it_cools() {
    let endpoints = endpoints(&[1; 8]);
    let picker = ConsistentHash::default().picker(&endpoints);
    let place = |_| {
        let index = picker.pick(&pick(7)).unwrap();
        (index, endpoints[index].begin_call())
    };
    let calls: Vec<(usize, InFlight)> = (0..100).map(place).collect();
    // 1.25 times an eighth of them, rounded up.
    let most = endpoints.iter().map(|endpoint| endpoint.in_flight()).max();
    assert_eq!(most, Some(16));
    let home = calls[0].0;
    drop(calls);
    for _ in 0..10 {
        assert_eq!(picker.pick(&pick(7)), Some(home));
    }
}

#[test]
fn the_only_one_with_room_is_found_however_few_of_the_points_are_its_own() {
    let endpoints = endpoints(&[100, 100, 100, 1, 100, 100, 100, 100]);
    let picker = ConsistentHash::default()
        .load_factor(1.0)
        .picker(&endpoints);
    let heavy = endpoints
        .iter()
        .filter(|endpoint| endpoint.weight().get() > 1);
    let calls: Vec<InFlight> = heavy
        .flat_map(|endpoint| (0..150).map(|_| endpoint.begin_call()))
        .collect();
    for key in 0..100 {
        assert_eq!(picker.pick(&pick(key)), Some(3));
    }
    drop(calls);
}

#[test]
fn without_a_bound_a_hot_key_stays() {
    let endpoints = endpoints(&[1; 10]);
    let policy = ConsistentHash::default().load_factor(f64::INFINITY);
    let picker = policy.picker(&endpoints);
    let home = picker.pick(&pick(7));
    let _calls: Vec<InFlight> = (0..1000)
        .map(|_| endpoints[home.unwrap()].begin_call())
        .collect();
    assert_eq!(picker.pick(&pick(7)), home);
}

#[test]
fn a_load_factor_that_makes_no_sense_is_one() {
    for factor in [f64::NAN, -1.0, 0.5] {
        let endpoints = endpoints(&[1, 1]);
        let picker = ConsistentHash::default()
            .load_factor(factor)
            .picker(&endpoints);
        let place = |_| endpoints[picker.pick(&pick(1)).unwrap()].begin_call();
        let calls: Vec<InFlight> = (0..10).map(place).collect();
        assert_eq!((endpoints[0].in_flight(), calls.len()), (5, 10));
    }
}

/// With many endpoints not all are counted for each call.
#[test]
fn the_bound_holds_about_as_well_among_many() {
    let endpoints = endpoints(&[1; 200]);
    let picker = ConsistentHash::default().seed(1).picker(&endpoints);
    let place = |key: u64| endpoints[picker.pick(&pick(key % 20)).unwrap()].begin_call();
    let calls: Vec<InFlight> = (0..4000).map(place).collect();
    let most = endpoints.iter().map(|endpoint| endpoint.in_flight()).max();
    // 1.25 times 20.
    assert!(most.is_some_and(|most| most <= 26), "{most:?}");
    assert_eq!(calls.len(), 4000);
}
