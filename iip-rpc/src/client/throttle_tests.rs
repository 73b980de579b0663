use std::time::{Duration, Instant};

use super::throttle::{Throttle, Throttling};
use crate::{Code, Outcome};

#[test]
fn the_probability_is_that_of_the_formula() {
    let start = Instant::now();
    // ratio, requests, accepts, probability
    for (ratio, requests, accepts, expected) in [
        (2.0, 0, 0, 0.0),
        (2.0, 1, 0, 0.5),
        (2.0, 99, 0, 0.99),
        (2.0, 100, 50, 0.0),
        (2.0, 100, 49, 2.0 / 101.0),
        (2.0, 100, 100, 0.0),
        (1.0, 99, 50, 0.49),
        (0.1, 99, 50, 0.49),
        (f64::NAN, 99, 25, 0.49),
    ] {
        let throttling = Throttling::new(&Throttle::default().ratio(ratio), start);
        for number in 0..requests {
            // 1 is never below a probability: all of them are admitted.
            throttling.admit(start, 1.0).unwrap();
            if number < accepts {
                throttling.accepted(start);
            }
        }
        let got = throttling.rejection(start);
        assert!(
            (got - expected).abs() < 1e-9,
            "{ratio} {requests} {accepts}: {got}"
        );
    }
}

#[test]
fn refusals_count_as_requests_and_all_is_forgotten_after_two_minutes() {
    let start = Instant::now();
    let throttling = Throttling::new(&Throttle::default(), start);
    throttling.admit(start, 0.0).unwrap();
    let status = throttling.admit(start, 0.49).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert!(status.message().contains("setting: throttle"));
    assert!((throttling.rejection(start) - 2.0 / 3.0).abs() < 1e-9);
    let later = |seconds| start + Duration::from_secs(seconds);
    assert!(throttling.rejection(later(119)) > 0.6);
    assert_eq!(throttling.rejection(later(120)), 0.0);
    assert!(throttling.admit(later(120), 0.0).is_ok());
}
