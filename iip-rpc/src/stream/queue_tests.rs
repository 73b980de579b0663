use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::BufMut;
use iip_core::session::{MESSAGE_COST, PIECE};
use prost::encoding::{DecodeContext, WireType};

use super::queue::{Queue, QueueStream, Refused};
use crate::body::{BodyStream, Callee};
use crate::envelope::Batch;
use crate::{Code, Compression};

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

fn costs(queue: &Queue) -> Vec<usize> {
    std::iter::from_fn(|| queue.take(Waker::noop()).map(|batch| batch.cost())).collect()
}

#[test]
fn small_messages_are_taken_together() {
    let queue = Queue::new(PIECE);
    for _ in 0..3 {
        queue.push(&"abc".to_owned()).unwrap();
    }
    let Some(Batch::Records { records, cost, .. }) = queue.take(Waker::noop()) else {
        panic!("not together");
    };
    assert_eq!(
        &records[..],
        b"\x02\x05\x0a\x03abc\x02\x05\x0a\x03abc\x02\x05\x0a\x03abc"
    );
    assert_eq!(cost, 3 * (5 + MESSAGE_COST));
    assert!(queue.is_empty());
}

#[test]
fn a_message_keeps_the_compression_it_was_sent_with() {
    let queue = Queue::new(usize::MAX);
    let send = |lens: &[usize]| {
        for len in lens {
            queue.push(&vec![7u8; *len]).unwrap();
        }
    };
    send(&[1, 1]);
    queue.set_compression(Compression::Never);
    send(&[1, PIECE, 1]);
    // Nothing changes, so nothing is taken apart.
    queue.set_compression(Compression::Never);
    send(&[1]);
    queue.set_compression(Compression::Always);
    queue.set_compression(Compression::Auto);
    send(&[1]);
    let taken = std::iter::from_fn(|| queue.take(Waker::noop())).map(|batch| match batch {
        Batch::Records {
            cost, compression, ..
        } => (cost / (MESSAGE_COST + 3), compression),
        Batch::Message(message, compression) => {
            assert_eq!(message.len(), PIECE + 4);
            (1, compression)
        }
    });
    let wanted = [
        (2, Compression::Auto),
        (1, Compression::Never),
        (1, Compression::Never),
        (2, Compression::Never),
        (1, Compression::Auto),
    ];
    assert_eq!(taken.collect::<Vec<_>>(), wanted);
}

#[test]
fn no_batch_of_small_messages_costs_more_than_a_piece() {
    let queue = Queue::new(4 * PIECE);
    let mut sent = 0;
    while queue.push(&vec![7u8; sent % 3000]).is_ok() {
        sent += 1;
    }
    let costs = costs(&queue);
    assert!(costs.iter().all(|cost| *cost <= PIECE));
    let all: usize = costs.iter().sum();
    assert!((4 * PIECE..5 * PIECE).contains(&all), "{costs:?}");
}

#[test]
fn a_large_message_is_alone_and_keeps_its_place() {
    let queue = Queue::new(usize::MAX);
    let large = PIECE;
    for len in [1, large, 1, 1, large, large, 1] {
        queue.push(&vec![7u8; len]).unwrap();
    }
    let one = 3 + MESSAGE_COST;
    let alone = large + 4 + MESSAGE_COST;
    assert_eq!(costs(&queue), [one, alone, 2 * one, alone, alone, one]);
}

#[test]
fn who_is_over_the_limit_waits_until_something_is_taken() {
    let queue = Queue::new(1);
    let (count, waker) = counted();
    let mut context = Context::from_waker(&waker);
    queue.push(&7u64).unwrap();
    assert!(matches!(queue.push(&7u64), Err(Refused::Full)));
    assert!(queue.poll_room(&mut context).is_pending());
    assert!(queue.poll_room(&mut context).is_pending());
    assert!(queue.take(Waker::noop()).is_some());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(queue.poll_room(&mut context).is_ready());
}

#[test]
fn the_taker_is_woken_once_by_what_comes_first() {
    let queue = Queue::new(PIECE);
    let (count, waker) = counted();
    assert!(queue.take_or_wait(&waker).is_none());
    queue.push(&7u64).unwrap();
    queue.push(&7u64).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_task_that_polls_its_sender_is_not_woken_by_its_own_doing() {
    let queue = Queue::new(1);
    let (own, waker) = counted();
    let (other, others) = counted();
    assert!(queue.take_or_wait(&waker).is_none());
    queue.watched();
    queue.push(&7u64).unwrap();
    for waker in [&waker, &others] {
        let mut context = Context::from_waker(waker);
        assert!(queue.poll_room(&mut context).is_pending());
    }
    assert!(queue.take(&waker).is_some());
    let woken = [own, other].map(|count| count.0.load(Ordering::Relaxed));
    assert_eq!(woken, [0, 1]);
}

#[test]
fn a_closed_queue_takes_nothing_and_tells_everybody() {
    let queue = Queue::new(1);
    let (count, waker) = counted();
    let mut context = Context::from_waker(&waker);
    queue.push(&7u64).unwrap();
    assert!(queue.poll_room(&mut context).is_pending());
    assert!(queue.poll_closed(&mut context).is_pending());
    drop(QueueStream::new(Arc::clone(&queue)));
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert!(queue.is_closed() && queue.is_empty());
    assert!(matches!(queue.push(&7u64), Err(Refused::Closed)));
    assert!(queue.poll_room(&mut context).is_ready());
    assert!(queue.poll_closed(&mut context).is_ready());
}

#[test]
fn the_end_comes_after_the_messages_and_a_cancellation_before_them() {
    let mut context = Context::from_waker(Waker::noop());
    for cancelled in [false, true] {
        let queue = Queue::new(PIECE);
        let mut stream = QueueStream::new(Arc::clone(&queue));
        let mut stream = Pin::new(&mut stream);
        queue.push(&7u64).unwrap();
        if cancelled {
            queue.cancel();
        } else {
            queue.finish();
        }
        assert!(matches!(queue.push(&7u64), Err(Refused::Closed)));
        assert!(!stream.is_over());
        match stream.as_mut().poll_records(&mut context) {
            Poll::Ready(Some(Ok(_))) => {
                assert!(!cancelled && stream.is_over());
                let end = stream.as_mut().poll_records(&mut context);
                assert!(matches!(end, Poll::Ready(None)));
            }
            Poll::Ready(Some(Err(status))) => {
                assert!(cancelled);
                assert_eq!(status.code(), Code::Cancelled);
            }
            _ => panic!("nothing"),
        }
    }
}

#[test]
fn a_message_over_the_takers_limit_is_refused_alone() {
    let queue = Queue::new(PIECE);
    let mut stream = QueueStream::new(Arc::clone(&queue));
    Pin::new(&mut stream).begun(Callee {
        drive: None,
        max_message: Some(10),
    });
    for len in [9, 50_000] {
        let Err(Refused::Invalid(status)) = queue.push(&vec![7u8; len]) else {
            panic!("taken");
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
    queue.push(&vec![7u8; 8]).unwrap();
}

/// A message that does not keep its word, or panics.
#[derive(Debug, Default)]
struct Liar {
    panics: bool,
}

impl prost::Message for Liar {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&[8, 1]);
        assert!(!self.panics, "on request");
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: WireType,
        _: &mut impl bytes::Buf,
        _: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn clear(&mut self) {}
}

#[test]
fn a_message_that_cannot_be_encoded_spoils_no_other() {
    let queue = Queue::new(PIECE);
    queue.push(&7u64).unwrap();
    let refused = queue.push(&Liar { panics: false });
    assert!(matches!(refused, Err(Refused::Invalid(_))));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = queue.push(&Liar { panics: true });
    }));
    assert!(panicked.is_err());
    queue.push(&8u64).unwrap();
    let Some(Batch::Records { records, .. }) = queue.take(Waker::noop()) else {
        panic!("not together");
    };
    assert_eq!(&records[..], b"\x02\x02\x08\x07\x02\x02\x08\x08");
}
