use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Queue, QueueStream, Sender, Side, Streaming};
use crate::method::Largest;
use crate::{Code, Status};

/// Gives its messages one by one, and is pending once before each.
struct Slow(VecDeque<u64>, bool);

impl Stream for Slow {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u64>> {
        self.1 = !self.1;
        if self.1 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.pop_front())
    }
}

async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[tokio::test]
async fn messages_are_the_items_and_an_error_is_the_last() {
    let mut stream: Streaming<u64> =
        Streaming::from_iter([Ok(1u64), Err(Status::aborted("no")), Ok(2)]);
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), 1);
    let status = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    for _ in 0..3 {
        assert!(next(&mut stream).await.is_none());
    }
}

#[tokio::test]
async fn all_of_a_stream_is_sent() {
    let queue = Queue::new(usize::MAX);
    let sender = Sender::of_request(Arc::clone(&queue), Largest::default());
    sender
        .send_stream(Slow((0..100).collect(), false))
        .await
        .unwrap();
    sender.finish().await.unwrap();
    let body = Box::pin(QueueStream::new(queue));
    let mut received = Streaming::<u64>::of_body(body, Side::Request);
    for number in 0..100 {
        assert_eq!(next(&mut received).await.unwrap().unwrap(), number);
    }
    assert!(next(&mut received).await.is_none());

    let queue = Queue::new(usize::MAX);
    let sender = Sender::of_request(Arc::clone(&queue), Largest::default());
    queue.close();
    let status = sender.send_stream(Slow([1].into(), false)).await;
    assert_eq!(status.unwrap_err().code(), Code::Cancelled);
}
