use std::time::Instant;

use crate::balance::rig_tests::{assert_by_weight, counted, counts, endpoints};
use crate::balance::{InFlight, LeastPending, Pick, Policy};

#[test]
fn idle_endpoints_are_chosen_by_weight() {
    for weights in [&[1; 10][..], &[1, 100], &[3, 1, 4, 1, 5, 9, 2, 6]] {
        let counts = counts(&LeastPending::default().seed(1), weights, 100_000);
        assert_by_weight(&counts, weights);
    }
}

#[test]
fn the_busier_of_two_gets_none() {
    let endpoints = endpoints(&[1, 1]);
    let picker = LeastPending::default().picker(&endpoints);
    let first = endpoints[0].begin_call();
    assert_eq!(counted(&*picker, 2, 1000), [0, 1000]);
    let _second = [endpoints[1].begin_call(), endpoints[1].begin_call()];
    assert_eq!(counted(&*picker, 2, 1000), [1000, 0]);
    drop(first);
    assert_eq!(counted(&*picker, 2, 1000), [1000, 0]);
}

#[test]
fn busy_is_in_proportion_to_the_weight() {
    let endpoints = endpoints(&[1, 4]);
    let picker = LeastPending::default().seed(2).picker(&endpoints);
    let _light = endpoints[0].begin_call();
    let mut heavy: Vec<InFlight> = (0..4).map(|_| endpoints[1].begin_call()).collect();
    // Equal: by weight.
    assert_by_weight(&counted(&*picker, 2, 10_000), &[1, 4]);
    heavy.push(endpoints[1].begin_call());
    // The heavy one is taken where it was drawn three times.
    let counts = counted(&*picker, 2, 10_000);
    assert!((4700..5100).contains(&counts[1]), "{counts:?}");
    heavy.truncate(3);
    // The light one is taken where it was drawn three times.
    let counts = counted(&*picker, 2, 10_000);
    assert!((40..130).contains(&counts[0]), "{counts:?}");
}

#[test]
fn calls_that_do_not_end_are_spread_evenly() {
    let endpoints = endpoints(&[1; 10]);
    let picker = LeastPending::default().seed(3).picker(&endpoints);
    let pick = Pick::new(Instant::now());
    let place = |_| endpoints[picker.pick(&pick).unwrap()].begin_call();
    let calls: Vec<InFlight> = (0..10_000).map(place).collect();
    for endpoint in &endpoints {
        assert!(
            (995..=1005).contains(&endpoint.in_flight()),
            "{endpoints:?}"
        );
    }
    drop(calls);
}
