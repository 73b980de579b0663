use std::time::{Duration, Instant};

use super::budget::{Budget, Denied};
use super::retry::Retry;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// How many attempts are allowed one after the other.
fn allowed(budget: &Budget, now: Instant) -> usize {
    (0..10_000).take_while(|_| budget.take(now).is_ok()).count()
}

#[test]
fn a_tenth_of_the_last_calls_and_three_a_second_are_allowed() {
    let start = Instant::now();
    let budget = Budget::new(&Retry::safe(), start);
    assert_eq!(allowed(&budget, start), 30);
    assert_eq!(budget.take(start), Err(Denied::Budget));
    for _ in 0..1000 {
        budget.called(start);
    }
    assert_eq!(allowed(&budget, start), 100);
    assert_eq!(allowed(&budget, at(start, 9)), 0);
    // What was allowed is forgotten after ten seconds, and so are the calls.
    assert_eq!(allowed(&budget, at(start, 10)), 30);
    budget.called(at(start, 25));
    assert_eq!(allowed(&budget, at(start, 25)), 30);
}

#[test]
fn without_a_floor_it_is_the_ratio_alone() {
    let start = Instant::now();
    let policy = Retry::safe().budget(0.5).budget_floor(0);
    let budget = Budget::new(&policy, start);
    assert_eq!(budget.take(start), Err(Denied::Budget));
    for _ in 0..7 {
        budget.called(start);
    }
    assert_eq!(allowed(&budget, start), 3);
}

#[test]
fn attempts_that_fail_again_take_tokens_and_calls_that_succeed_return_them() {
    let now = Instant::now();
    let budget = Budget::new(&Retry::safe().budget_floor(1000), now);
    // Ten tokens: more than five must be there.
    for _ in 0..4 {
        budget.failed_again();
        assert_eq!(budget.take(now), Ok(()));
    }
    budget.failed_again();
    assert_eq!(budget.take(now), Err(Denied::Tokens));
    budget.succeeded();
    assert_eq!(budget.take(now), Ok(()));
    for _ in 0..100 {
        budget.failed_again();
    }
    for _ in 0..50 {
        assert_eq!(budget.take(now), Err(Denied::Tokens));
        budget.succeeded();
    }
    assert_eq!(budget.take(now), Err(Denied::Tokens));
    budget.succeeded();
    assert_eq!(budget.take(now), Ok(()));
    // There are never more than ten.
    for _ in 0..1000 {
        budget.succeeded();
    }
    for _ in 0..5 {
        budget.failed_again();
    }
    assert_eq!(budget.take(now), Err(Denied::Tokens));
}

#[test]
fn a_budget_is_not_exceeded_by_threads_that_ask_together() {
    let now = Instant::now();
    let budget = Budget::new(&Retry::safe(), now);
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..1000).filter(|_| budget.take(now).is_ok()).count()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(taken, 30);
}
