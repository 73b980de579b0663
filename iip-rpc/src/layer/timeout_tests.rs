use super::fixture_tests::{Echo, call, request, seconds};
use super::{ConcurrencyLimit, Timeout, interceptor, layered};
use crate::deadline::now;
use crate::{Code, Outcome};

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_the_limit() {
    let service = layered(Echo::default(), Timeout::new(seconds(2)));
    let started = now();
    let status = call(&service, request().with_metadata("sleep", "9")).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
    assert_eq!(now() - started, seconds(2));
    let reply = call(&service, request().with_metadata("sleep", "1")).await;
    assert!(reply.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_waits_inside_counts() {
    let limited = layered(Echo::default(), ConcurrencyLimit::new(1));
    let service = layered(limited.clone(), Timeout::new(seconds(1)));
    let (first, second) = tokio::join!(
        call(&limited, request().with_metadata("sleep", "5")),
        call(&service, request())
    );
    assert!(first.is_ok());
    let status = second.unwrap_err();
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_counts() {
    for (own, limit, left) in [(None, 2, 2), (Some(1), 2, 1), (Some(3), 2, 2)] {
        let seen = interceptor(move |request, next| async move {
            assert_eq!(request.deadline(), Some(now() + seconds(left)));
            next.run(request).await
        });
        let service = layered(layered(Echo::default(), seen), Timeout::new(seconds(limit)));
        let mut asked = request();
        if let Some(own) = own {
            asked = asked.with_timeout(seconds(own));
        }
        assert!(call(&service, asked).await.is_ok());
    }
}
