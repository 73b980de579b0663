use std::time::Duration;

use crate::Histogram;

fn nanos(n: u64) -> Duration {
    Duration::from_nanos(n)
}

#[test]
fn every_value_is_known_to_within_one_percent() {
    for exponent in 0..40 {
        for offset in [0, 1, 77] {
            let value = (1_u64 << exponent) + offset;
            let histogram = Histogram::new();
            histogram.record(nanos(value));
            let read = histogram.quantile(0.5).as_nanos() as f64;
            assert!(
                (read - value as f64).abs() <= value as f64 / 100.0,
                "{value} read as {read}"
            );
        }
    }
}

#[test]
fn quantiles_count_from_the_smallest() {
    let histogram = Histogram::new();
    for value in 1..=100 {
        histogram.record(nanos(value));
    }
    assert_eq!(histogram.count(), 100);
    assert_eq!(histogram.quantile(0.5), nanos(50));
    assert_eq!(histogram.quantile(0.99), nanos(99));
    assert_eq!(histogram.quantile(0.999), nanos(100));
    assert_eq!(histogram.quantile(0.0), nanos(1));
}

#[test]
fn nothing_and_too_much_are_values_too() {
    let histogram = Histogram::new();
    assert_eq!(histogram.quantile(0.5), Duration::ZERO);
    histogram.record(Duration::MAX);
    assert!(histogram.quantile(0.5) > Duration::from_secs(1_000));
}

#[test]
fn histograms_add_up() {
    let (one, two) = (Histogram::new(), Histogram::new());
    one.record(nanos(5));
    two.record(nanos(9));
    one.add(&two);
    assert_eq!((one.count(), one.quantile(1.0)), (2, nanos(9)));
}
