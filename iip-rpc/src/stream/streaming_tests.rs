use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use iip_core::session::MESSAGE_COST;

use super::streaming::REPORT;
use super::{Queue, QueueStream, Side, Streaming};
use crate::body::BodyStream;
use crate::envelope::Batch;
use crate::{Code, Status};

/// A stream that counts what is reported as consumed.
struct Counted {
    inner: QueueStream,
    consumed: Arc<AtomicUsize>,
}

impl BodyStream for Counted {
    fn poll_records(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        Pin::new(&mut self.inner).poll_records(context)
    }

    fn consumed(self: Pin<&mut Self>, cost: usize) {
        self.consumed.fetch_add(cost, Ordering::Relaxed);
    }
}

fn counted(queue: &Arc<Queue>, side: Side) -> (Streaming<Vec<u8>>, Arc<AtomicUsize>) {
    let consumed = Arc::new(AtomicUsize::new(0));
    let stream = Counted {
        inner: QueueStream::new(Arc::clone(queue)),
        consumed: Arc::clone(&consumed),
    };
    (Streaming::of_body(Box::pin(stream), side), consumed)
}

#[tokio::test]
async fn a_stream_is_made_of_messages_or_results() {
    let mut stream: Streaming<u64> = Streaming::from_iter([1u64, 2]);
    assert_eq!(stream.message().await.unwrap(), Some(1));
    assert_eq!(stream.message().await.unwrap(), Some(2));
    assert_eq!(stream.message().await.unwrap(), None);
}

/// As with tonic: whoever goes on after an error is not told it for ever, and gets nothing that comes after it.
#[tokio::test]
async fn an_error_comes_once_and_ends_the_stream() {
    let results = [Ok(1u64), Err(Status::aborted("no")), Ok(2)];
    let mut stream: Streaming<u64> = results.into_iter().collect();
    assert_eq!(stream.message().await.unwrap(), Some(1));
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Aborted);
    assert_eq!(stream.message().await.unwrap(), None);
    assert_eq!(stream.message().await.unwrap(), None);
}

#[tokio::test]
async fn what_was_taken_is_reported_soon() {
    let queue = Queue::new(usize::MAX);
    let (mut stream, consumed) = counted(&queue, Side::Request);
    let mut sent = 0;
    for len in (0..200).chain([20_000, 0, 40_000]) {
        let message = vec![7u8; len];
        sent += prost::Message::encoded_len(&message) + MESSAGE_COST;
        queue.push(&message).unwrap();
    }
    queue.finish();
    let mut taken = 0;
    while let Some(message) = stream.message().await.unwrap() {
        taken += prost::Message::encoded_len(&message) + MESSAGE_COST;
        let reported = consumed.load(Ordering::Relaxed);
        assert!(reported <= taken && taken - reported < REPORT);
    }
    assert_eq!(consumed.load(Ordering::Relaxed), sent);
}

#[tokio::test]
async fn a_message_that_does_not_decode_ends_the_stream() {
    for (side, code) in [
        (Side::Request, Code::InvalidArgument),
        (Side::Response, Code::Internal),
    ] {
        let queue = Queue::new(usize::MAX);
        let (mut stream, _) = counted(&queue, side);
        queue.push(&vec![1u8]).unwrap();
        // A number in the place of bytes.
        queue.push(&7u64).unwrap();
        queue.push(&vec![2u8]).unwrap();
        assert_eq!(stream.message().await.unwrap(), Some(vec![1]));
        assert_eq!(stream.message().await.unwrap_err().code(), code);
        assert_eq!(stream.message().await.unwrap(), None);
        assert!(queue.is_closed());
    }
}
