use std::sync::atomic::Ordering;

use super::fixture_tests::{Echo, call, request, seconds};
use super::{ConcurrencyLimit, LoadShed, layered};
use crate::{Code, Outcome};

#[tokio::test(start_paused = true)]
async fn calls_wait_for_their_turn() {
    let echo = Echo::default();
    let limit = ConcurrencyLimit::new(2);
    let one = layered(echo.clone(), limit.clone());
    let other = layered(echo.clone(), limit);
    let sleeping = || request().with_metadata("sleep", "1");
    let (a, b, c, d) = tokio::join!(
        call(&one, sleeping()),
        call(&other, sleeping()),
        call(&one, sleeping()),
        call(&other, sleeping().with_timeout(seconds(1) / 2))
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(echo.most.load(Ordering::Relaxed), 2);
    let status = d.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert_eq!(echo.started.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_limit_are_refused() {
    let echo = Echo::default();
    let service = layered(echo.clone(), LoadShed::new(1));
    let (first, second) = tokio::join!(
        call(&service, request().with_metadata("sleep", "1")),
        call(&service, request())
    );
    assert!(first.is_ok());
    let status = second.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert!(status.message().contains("LoadShed"));
    assert!(call(&service, request()).await.is_ok());
    assert_eq!(echo.started.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_frees_its_place() {
    let service = layered(Echo::default(), LoadShed::new(1));
    let given_up = tokio::time::timeout(
        seconds(1),
        call(&service, request().with_metadata("sleep", "9")),
    );
    assert!(given_up.await.is_err());
    assert!(call(&service, request()).await.is_ok());
}
