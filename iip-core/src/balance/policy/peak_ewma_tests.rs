use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::rig_tests::{assert_by_weight, counted, counts, endpoints};
use crate::balance::{Endpoint, InFlight, PeakEwma, Pick, Picker, Policy};

const MS: Duration = Duration::from_millis(1);

/// How many of 10,000 calls at this time each of two gets.
fn of_two(picker: &dyn Picker, now: Instant) -> [usize; 2] {
    let mut counts = [0; 2];
    for _ in 0..10_000 {
        counts[picker.pick(&Pick::new(now)).unwrap()] += 1;
    }
    counts
}

fn begin(endpoint: &Arc<Endpoint>, calls: usize) -> Vec<InFlight> {
    (0..calls).map(|_| endpoint.begin_call()).collect()
}

#[test]
fn endpoints_of_which_nothing_is_known_are_chosen_by_weight() {
    for weights in [&[1; 10][..], &[1, 100], &[3, 1, 4, 1, 5, 9, 2, 6]] {
        let counts = counts(&PeakEwma::default().seed(1), weights, 100_000);
        assert_by_weight(&counts, weights);
    }
}

#[test]
fn a_slow_one_gets_calls_when_the_fast_one_has_as_many_times_more() {
    let (endpoints, now) = (endpoints(&[1, 1]), Instant::now());
    let picker = PeakEwma::default().seed(2).picker(&endpoints);
    endpoints[0].record_latency(100 * MS, now);
    endpoints[1].record_latency(10 * MS, now);
    assert_eq!(of_two(&*picker, now), [0, 10_000]);
    let mut calls = begin(&endpoints[1], 8);
    assert_eq!(of_two(&*picker, now), [0, 10_000]);
    calls.extend(begin(&endpoints[1], 2));
    assert_eq!(of_two(&*picker, now), [10_000, 0]);
}

#[test]
fn one_without_a_measurement_gets_an_average_share_and_not_all() {
    let (endpoints, now) = (endpoints(&[1, 1]), Instant::now());
    let picker = PeakEwma::default().seed(3).picker(&endpoints);
    endpoints[0].record_latency(100 * MS, now);
    let counts = of_two(&*picker, now);
    assert!((4800..5200).contains(&counts[0]), "{counts:?}");
    let call = begin(&endpoints[1], 1);
    assert_eq!(of_two(&*picker, now), [10_000, 0]);
    drop(call);
    let _call = begin(&endpoints[0], 1);
    assert_eq!(of_two(&*picker, now), [0, 10_000]);
}

#[test]
fn of_two_without_a_measurement_the_less_busy_one_is_chosen() {
    let endpoints = endpoints(&[1, 1]);
    let picker = PeakEwma::default().picker(&endpoints);
    let _call = begin(&endpoints[0], 1);
    assert_eq!(of_two(&*picker, Instant::now()), [0, 10_000]);
}

#[test]
fn one_that_is_avoided_is_tried_again_and_with_few_calls() {
    let (endpoints, start) = (endpoints(&[1, 1]), Instant::now());
    let picker = PeakEwma::default().picker(&endpoints);
    endpoints[0].record_latency(100 * MS, start);
    let _calls = begin(&endpoints[1], 1);
    let first = (0..600).find(|&second| {
        let now = start + Duration::from_secs(second);
        endpoints[1].record_latency(10 * MS, now);
        of_two(&*picker, now)[0] > 0
    });
    // 10 + 90 * exp(-t / 10 s) is less than 2 * 10 after 22 s.
    assert_eq!(first, Some(22));
    let now = start + Duration::from_secs(22);
    let _probe = begin(&endpoints[0], 1);
    assert_eq!(of_two(&*picker, now), [0, 10_000]);
    // It was not any better: it is avoided as before.
    endpoints[0].record_latency(100 * MS, now);
    drop(_probe);
    assert_eq!(of_two(&*picker, now), [0, 10_000]);
}

#[test]
fn a_fast_one_stays_fast_however_old_its_measurement_is() {
    let (endpoints, start) = (endpoints(&[1, 1]), Instant::now());
    let picker = PeakEwma::default().picker(&endpoints);
    let later = start + Duration::from_secs(3600);
    endpoints[0].record_latency(10 * MS, start);
    endpoints[1].record_latency(100 * MS, later);
    assert_eq!(of_two(&*picker, later), [10_000, 0]);
}

#[test]
fn of_equal_latency_idle_ones_are_by_weight_and_busy_is_in_proportion_to_it() {
    let (endpoints, now) = (endpoints(&[1, 3]), Instant::now());
    let picker = PeakEwma::default().seed(4).picker(&endpoints);
    for endpoint in &endpoints {
        endpoint.record_latency(10 * MS, now);
    }
    assert_by_weight(&counted(&*picker, 2, 10_000), &[1, 3]);
    let mut calls = begin(&endpoints[0], 1);
    calls.extend(begin(&endpoints[1], 3));
    assert_by_weight(&of_two(&*picker, now), &[1, 3]);
    calls.extend(begin(&endpoints[1], 1));
    // Both are drawn, and the light one taken, unless the heavy one was drawn three times.
    let counts = of_two(&*picker, now);
    assert!((4000..4450).contains(&counts[1]), "{counts:?}");
}
