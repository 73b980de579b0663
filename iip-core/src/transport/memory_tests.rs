use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::memory::{MemoryListener, connect, listener};

#[tokio::test]
async fn a_connection_carries_bytes_both_ways() {
    let (mut listener, connector) = listener();
    let mut near = connector.connect().await.unwrap();
    let mut far = listener.accept().await;
    near.write_all(b"ping").await.unwrap();
    let mut got = [0; 4];
    far.read_exact(&mut got).await.unwrap();
    far.write_all(b"pong").await.unwrap();
    drop(far);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert_eq!((&got, &rest[..]), (b"ping", &b"pong"[..]));
}

#[tokio::test]
async fn names_are_unique_while_the_listener_lives() {
    let (one, two) = (listener().0, listener().0);
    assert_ne!(one.address(), two.address());

    let first = MemoryListener::bind("memory-tests-unique").unwrap();
    assert_eq!(first.address().to_string(), "memory://memory-tests-unique");
    let error = MemoryListener::bind("memory-tests-unique").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(
        error.to_string().contains("memory://memory-tests-unique"),
        "{error}"
    );
    drop(first);
    MemoryListener::bind("memory-tests-unique").unwrap();
    assert_eq!(
        MemoryListener::bind("no spaces").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn a_dropped_listener_refuses_and_closes_what_waits() {
    let listener = MemoryListener::bind("memory-tests-dropped").unwrap();
    let connector = listener.connector();
    let mut waiting = connector.connect().await.unwrap();
    drop(listener);
    assert_eq!(waiting.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(
        connector.connect().await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert_eq!(
        connect("memory-tests-dropped").await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[tokio::test]
async fn the_accept_queue_is_bounded() {
    let (mut listener, connector) = listener();
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(connector.connect().await.unwrap());
    }
    let mut waiting = by_hand(connector.connect());
    assert!(waiting.is_pending());
    listener.accept().await;
    waiting.finish().await.unwrap();
}

/// A future that is polled by hand first.
struct ByHand<F>(std::pin::Pin<Box<F>>);

fn by_hand<F: Future>(future: F) -> ByHand<F> {
    ByHand(Box::pin(future))
}

impl<F: Future> ByHand<F> {
    fn is_pending(&mut self) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        self.0.as_mut().poll(&mut cx).is_pending()
    }

    async fn finish(self) -> F::Output {
        self.0.await
    }
}
