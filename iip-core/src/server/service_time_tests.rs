use std::time::Duration;

use super::service_time::ServiceTime;

fn us(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds)
}

#[test]
fn it_is_the_median_and_not_the_mean() {
    let time = ServiceTime::default();
    assert_eq!(time.median(), Duration::ZERO);
    // One in ten takes a hundred times as long.
    for call in 0..1000 {
        time.record(us(if call % 10 == 0 {
            10_000
        } else {
            95 + call % 10
        }));
    }
    assert!(
        (us(90)..us(115)).contains(&time.median()),
        "{:?}",
        time.median()
    );
}

#[test]
fn it_follows_in_a_hundred_calls() {
    let time = ServiceTime::default();
    time.record(us(100));
    assert_eq!(time.median(), us(100));
    for _ in 0..100 {
        time.record(us(1000));
    }
    assert_eq!(time.median(), us(1000));
    for _ in 0..100 {
        time.record(us(100));
    }
    assert_eq!(time.median(), us(100));
    time.record(Duration::MAX);
    time.record(Duration::ZERO);
}
