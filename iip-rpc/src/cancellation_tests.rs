use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::cancellation::Scope;
use crate::{Cancellation, Request};

fn is_ready(future: impl Future) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(future).as_mut().poll(&mut context).is_ready()
}

#[test]
fn a_token_fires_when_its_call_ends_and_no_other() {
    let scope = Scope::new(None);
    let first = scope.token();
    assert!(!first.is_cancelled());
    assert!(!is_ready(first.cancelled()));
    scope.end();
    let second = scope.token();
    assert!(first.is_cancelled() && first.clone().is_cancelled());
    assert!(is_ready(first.cancelled()));
    assert!(!second.is_cancelled());
    scope.end();
    assert!(second.is_cancelled());
}

#[tokio::test]
async fn who_waits_is_woken() {
    let scope = Scope::new(None);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let token = scope.token();
            tokio::spawn(async move { token.cancelled().await })
        })
        .collect();
    tokio::task::yield_now().await;
    scope.end();
    for task in waiting {
        task.await.unwrap();
    }
}

#[test]
fn a_request_outside_a_handler_is_never_cancelled() {
    let token = Request::new(()).cancellation();
    assert!(!token.is_cancelled());
    assert!(!is_ready(token.cancelled()));
    assert!(!Cancellation::default().is_cancelled());
}

#[test]
fn a_connections_call_is_claimed_once() {
    let peer = Arc::clone(
        iip_core::server::Incoming::detached(
            iip_core::wire::Path::ROOT,
            bytes::Bytes::new(),
            true,
            std::time::Instant::now(),
        )
        .peer(),
    );
    let scope = Scope::watched(Arc::clone(&peer));
    assert!(scope.claim());
    assert!(!scope.claim());
    assert!(!Scope::new(None).claim());
    // What a token still looks at is not used again.
    let scope = Scope::reused(&peer);
    let token = scope.token();
    scope.end();
    scope.keep();
    assert!(token.is_cancelled());
    let again = Scope::reused(&peer);
    assert!(token.is_cancelled() && !again.token().is_cancelled());
}
