use super::breaker::{Breaker, CircuitBreaker};
use crate::{Code, Outcome, Status};

fn refused(status: &Status, setting: &str) {
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert!(status.message().contains("circuit_breaker"), "{status}");
    assert!(status.message().contains(setting), "{status}");
}

#[test]
fn each_limit_is_one_of_its_own_and_places_come_back() {
    let settings = CircuitBreaker::new()
        .max_calls(2)
        .max_pending(1)
        .max_retries(1);
    let breaker = Breaker::new(&settings);
    let (one, two) = (breaker.call().unwrap(), breaker.call().unwrap());
    refused(&breaker.call().unwrap_err(), "max_calls");
    let waiting = breaker.pending().unwrap();
    refused(&breaker.pending().unwrap_err(), "max_pending");
    let again = breaker.retry().unwrap();
    assert!(breaker.retry().is_none());
    drop((one, waiting, again));
    let _three = breaker.call().unwrap();
    refused(&breaker.call().unwrap_err(), "max_calls");
    assert!(breaker.pending().is_ok() && breaker.retry().is_some());
    drop(two);
    assert!(breaker.call().is_ok());
}

#[test]
fn what_is_not_set_is_not_limited() {
    let breaker = Breaker::new(&CircuitBreaker::new().max_calls(0));
    assert!(breaker.call().is_err());
    let pending: Vec<_> = (0..1000).map(|_| breaker.pending().unwrap()).collect();
    let retries: Vec<_> = (0..1000).map(|_| breaker.retry().unwrap()).collect();
    assert_eq!((pending.len(), retries.len()), (1000, 1000));
}
