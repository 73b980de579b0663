use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{Queue, QueueStream, Sender, Side, Streaming};
use crate::method::Largest;
use crate::{Code, Idempotency, MethodDescriptor, MethodKind};

fn sender(queue: &Arc<Queue>, largest: Largest) -> Sender<String> {
    Sender::of_request(Arc::clone(queue), largest)
}

fn received(queue: Arc<Queue>) -> Streaming<String> {
    Streaming::of_body(Box::pin(QueueStream::new(queue)), Side::Request)
}

/// A method whose requests have ten bytes at most.
fn ten_bytes() -> Largest {
    MethodDescriptor::new("/a.B/C", MethodKind::ClientStreaming, Idempotency::Unknown)
        .max_request(10)
        .requests()
}

#[tokio::test]
async fn a_message_that_is_too_large_is_the_last() {
    let queue = Queue::new(usize::MAX);
    let sender = sender(&queue, ten_bytes());
    let mut messages = ["a", "much too large", "b"].map(str::to_owned).into_iter();
    let sent = sender.send_all(messages.by_ref()).await;
    assert_eq!(sent.unwrap_err().code(), Code::ResourceExhausted);
    // The stream itself goes on.
    sender.send_all(messages).await.unwrap();
    sender.finish().await.unwrap();
    let mut received = received(queue);
    for text in ["a", "b"] {
        assert_eq!(received.message().await.unwrap().as_deref(), Some(text));
    }
    assert_eq!(received.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_message_that_is_too_large_leaves_the_stream_unfinished() {
    let queue = Queue::new(usize::MAX);
    let messages = ["a", "much too large"].map(str::to_owned);
    let sent = sender(&queue, ten_bytes()).finish_with(messages).await;
    assert_eq!(sent.unwrap_err().code(), Code::ResourceExhausted);
    let status = received(queue).message().await.unwrap_err();
    assert_eq!(status.code(), Code::Cancelled);
}

#[tokio::test]
async fn dropping_while_it_waits_loses_one_message() {
    let queue = Queue::new(1);
    let sender = sender(&queue, Largest::default());
    let mut messages = (0..5).map(|index: u32| index.to_string());
    {
        let mut sending = pin!(sender.send_all(messages.by_ref()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(sending.as_mut().poll(&mut context), Poll::Pending));
    }
    // The first is sent, the second is the one that waited.
    let mut received = received(Arc::clone(&queue));
    let first = received.message().await.unwrap();
    assert_eq!(first.as_deref(), Some("0"));
    sender.send_all(messages.by_ref().take(1)).await.unwrap();
    let next = received.message().await.unwrap();
    assert_eq!(next.as_deref(), Some("2"));
    assert_eq!(messages.next().as_deref(), Some("3"));
}
