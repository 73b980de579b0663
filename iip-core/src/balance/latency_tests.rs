use std::time::{Duration, Instant};

use super::latency::{DECAY, Latency};

const MS: Duration = Duration::from_millis(1);

fn millis(latency: &Latency) -> f64 {
    latency
        .average()
        .map_or(0.0, |average| average.as_secs_f64() * 1e3)
}

#[track_caller]
fn assert_near(value: f64, expected: f64) {
    let near = (value - expected).abs() <= expected * 0.001;
    assert!(near, "{value} is not {expected}");
}

#[test]
fn nothing_is_known_before_the_first() {
    let latency = Latency::default();
    assert_eq!(latency.average(), None);
    assert_eq!(latency.nanos(), None);
    // However short it is.
    latency.record(Duration::ZERO, Instant::now());
    assert_eq!(latency.average(), Some(Duration::from_nanos(1)));
}

#[test]
fn longer_counts_at_once_and_shorter_by_the_time_that_has_passed() {
    let (latency, start) = (Latency::default(), Instant::now());
    latency.record(10 * MS, start);
    assert_near(millis(&latency), 10.0);
    latency.record(100 * MS, start);
    assert_near(millis(&latency), 100.0);
    // No time has passed.
    latency.record(10 * MS, start);
    assert_near(millis(&latency), 100.0);
    latency.record(10 * MS, start + DECAY);
    assert_near(millis(&latency), 10.0 + 90.0 * (-1f64).exp());
    latency.record(10 * MS, start + 2 * DECAY);
    assert_near(millis(&latency), 10.0 + 90.0 * (-2f64).exp());
}

#[test]
fn how_often_it_is_measured_makes_no_difference_to_how_fast_it_comes_down() {
    for steps in [1, 100, 10_000] {
        let (latency, start) = (Latency::default(), Instant::now());
        latency.record(100 * MS, start);
        for step in 1..=steps {
            latency.record(10 * MS, start + DECAY * step / steps);
        }
        let expected = 10.0 + 90.0 * (-1f64).exp();
        let off = (millis(&latency) - expected).abs();
        assert!(off < 0.5, "{steps} steps: {} ms", millis(&latency));
    }
}

#[test]
fn an_old_measurement_is_kept_and_trusted_less() {
    let (latency, start) = (Latency::default(), Instant::now());
    latency.record(10 * MS, start);
    let trust = |after| {
        assert_near(latency.nanos().map_or(0.0, f64::from), 1e7);
        f64::from(latency.trust(start + after))
    };
    assert_near(trust(Duration::ZERO), 1.0);
    assert_near(trust(DECAY), (-1f64).exp());
    assert_near(trust(5 * DECAY), (-5f64).exp());
    assert_near(millis(&latency), 10.0);
}

#[test]
fn time_may_seem_to_go_back_and_the_clock_goes_round() {
    let (latency, start) = (Latency::default(), Instant::now());
    let later = start + Duration::from_secs(1);
    latency.record(10 * MS, later);
    latency.record(5 * MS, start);
    assert_near(millis(&latency), 10.0);
    let round = Duration::from_nanos(1 << (32 + 16));
    latency.record(20 * MS, later + round - MS);
    latency.record(10 * MS, later + round + DECAY - MS);
    assert_near(millis(&latency), 10.0 + 10.0 * (-1f64).exp());
}

#[test]
fn very_long_ones_fit() {
    let (latency, start) = (Latency::default(), Instant::now());
    latency.record(Duration::from_secs(86_400), start);
    assert_near(millis(&latency), 86_400_000.0);
    latency.record(Duration::MAX, start);
    assert!(latency.average().is_some());
}
