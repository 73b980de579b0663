use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::acceptor::{AcceptError, AcceptSource, Acceptor, BATCH, PAUSE_FIRST, PAUSE_MAX};
use crate::transport::{PeerAddr, Stream};

const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;

/// What the next accept does.
#[derive(Clone, Copy)]
enum Step {
    Connection,
    Error(i32),
    Nothing,
}

use Step::{Connection, Error, Nothing};

/// Follows a script and then does its last step for ever. Counts how often it is asked.
struct Script {
    steps: VecDeque<Step>,
    asked: Arc<AtomicU32>,
}

impl AcceptSource for Script {
    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Stream, PeerAddr)>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let step = if self.steps.len() > 1 {
            self.steps.pop_front()
        } else {
            self.steps.front().copied()
        };
        match step.unwrap_or(Nothing) {
            Connection => Poll::Ready(Ok((tokio::io::duplex(1).0.into(), PeerAddr::Memory))),
            Error(number) => Poll::Ready(Err(io::Error::from_raw_os_error(number))),
            Nothing => Poll::Pending,
        }
    }
}

fn acceptor(steps: impl IntoIterator<Item = Step>) -> (Acceptor<Script>, Arc<AtomicU32>) {
    let asked = Arc::default();
    let steps = steps.into_iter().collect();
    (
        Acceptor::new(Script {
            steps,
            asked: Arc::clone(&asked),
        }),
        asked,
    )
}

async fn accept(acceptor: &mut Acceptor<Script>) {
    std::future::poll_fn(|cx| acceptor.poll_accept(cx)).await;
}

#[test]
fn errors_are_sorted() {
    let of = |number| AcceptError::of(&io::Error::from_raw_os_error(number));
    for number in [EMFILE, ENFILE] {
        assert_eq!(of(number), AcceptError::Descriptors);
    }
    for number in [ENOBUFS, ENOMEM] {
        assert_eq!(of(number), AcceptError::Memory);
    }
    // ECONNABORTED EPERM EINTR EPROTO ENONET ENOPROTOOPT EOPNOTSUPP ENETDOWN ENETUNREACH ECONNRESET
    // ETIMEDOUT EHOSTDOWN EHOSTUNREACH
    for number in [
        ECONNABORTED,
        1,
        4,
        71,
        64,
        92,
        95,
        100,
        101,
        104,
        110,
        112,
        113,
    ] {
        assert_eq!(of(number), AcceptError::Connection, "{number}");
    }
    // EBADF EFAULT EINVAL ENOTSOCK
    for number in [9, 14, EINVAL, 88] {
        assert_eq!(of(number), AcceptError::Other, "{number}");
    }
    assert_eq!(
        AcceptError::of(&io::Error::other("odd")),
        AcceptError::Other
    );
}

#[tokio::test(start_paused = true)]
async fn errors_of_a_connection_are_skipped_at_once() {
    let started = Instant::now();
    let (mut acceptor, asked) = acceptor([
        Error(ECONNABORTED),
        Error(1),
        Error(100),
        Connection,
        Nothing,
    ]);
    accept(&mut acceptor).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    let stats = acceptor.stats();
    assert_eq!(
        (stats.accepted, stats.connection_errors, stats.pauses),
        (1, 3, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn endless_errors_of_connections_do_not_spin() {
    let (mut acceptor, asked) = acceptor([Error(ECONNABORTED)]);
    timeout(Duration::from_secs(60), accept(&mut acceptor))
        .await
        .unwrap_err();
    // 5 ms, 10 ms, … 640 ms, and 1 s from then on: 67 pauses, each after 64 errors.
    assert_eq!(acceptor.stats().pauses, 67);
    assert_eq!(asked.load(Ordering::Relaxed), 67 * BATCH);
}

#[tokio::test(start_paused = true)]
async fn a_shortage_of_descriptors_is_sat_out() {
    for number in [EMFILE, ENFILE] {
        let (mut acceptor, asked) = acceptor([Error(number)]);
        timeout(Duration::from_secs(60), accept(&mut acceptor))
            .await
            .unwrap_err();
        let stats = acceptor.stats();
        assert_eq!(
            (stats.resource_errors, stats.pauses, stats.shed),
            (67, 67, 0)
        );
        // Each time once more, with the spare descriptor given away.
        assert_eq!(asked.load(Ordering::Relaxed), 2 * 67);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_client_is_turned_away_with_the_spare_descriptor() {
    let started = Instant::now();
    let (mut acceptor, _) = acceptor([
        Error(EMFILE),
        Connection, // closed
        Error(EMFILE),
        Connection, // closed
        Connection, // served
        Nothing,
    ]);
    accept(&mut acceptor).await;
    let stats = acceptor.stats();
    assert_eq!(
        (stats.accepted, stats.shed, stats.resource_errors),
        (1, 2, 2)
    );
    assert_eq!(started.elapsed(), PAUSE_FIRST + 2 * PAUSE_FIRST);
}

#[tokio::test(start_paused = true)]
async fn a_shortage_of_memory_is_sat_out_without_asking_more() {
    for number in [ENOBUFS, ENOMEM] {
        let (mut acceptor, asked) = acceptor([Error(number)]);
        timeout(Duration::from_secs(60), accept(&mut acceptor))
            .await
            .unwrap_err();
        assert_eq!(acceptor.stats().resource_errors, 67);
        assert_eq!(asked.load(Ordering::Relaxed), 67);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_listener_itself_do_not_end_it() {
    let steps = std::iter::repeat_n(Error(EINVAL), 20).chain([Connection, Nothing]);
    let (mut acceptor, _) = acceptor(steps);
    accept(&mut acceptor).await;
    let stats = acceptor.stats();
    assert_eq!(
        (stats.accepted, stats.other_errors, stats.pauses),
        (1, 20, 20)
    );
}

#[tokio::test(start_paused = true)]
async fn pauses_double_to_the_maximum_and_start_again_after_a_connection() {
    let steps = std::iter::repeat_n(Error(ENOMEM), 10).chain([
        Connection,
        Error(ENOMEM),
        Connection,
        Nothing,
    ]);
    let (mut acceptor, _) = acceptor(steps);
    let started = Instant::now();
    accept(&mut acceptor).await;
    let eight: Duration = (0..8).map(|n| PAUSE_FIRST * 2u32.pow(n)).sum();
    assert_eq!(started.elapsed(), eight + 2 * PAUSE_MAX);
    let again = Instant::now();
    accept(&mut acceptor).await;
    assert_eq!(again.elapsed(), PAUSE_FIRST);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_asks_again_does_not_skip_the_pause() {
    let (mut acceptor, asked) = acceptor([Error(ENOMEM)]);
    for _ in 0..1000 {
        timeout(Duration::from_millis(1), accept(&mut acceptor))
            .await
            .unwrap_err();
    }
    // One second: 5 + 10 + … + 320 ms is 635 ms, and the eighth pause ends after it.
    assert_eq!(asked.load(Ordering::Relaxed), 8);
}

/// Counts wake-ups.
#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn it_yields_after_a_batch() {
    let (mut acceptor, asked) = acceptor([Connection]);
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    for round in 1..=3 {
        for _ in 0..BATCH {
            assert!(acceptor.poll_accept(&mut cx).is_ready());
        }
        assert!(acceptor.poll_accept(&mut cx).is_pending());
        // It asks to be polled again, and did not touch the source.
        assert_eq!(wakes.0.load(Ordering::Relaxed), round);
        assert_eq!(asked.load(Ordering::Relaxed), round * BATCH);
    }
}

#[test]
fn an_empty_queue_begins_a_new_batch() {
    let steps = std::iter::repeat_n(Connection, 40)
        .chain([Nothing])
        .chain([Connection]);
    let (mut acceptor, _) = acceptor(steps);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..40 {
        assert!(acceptor.poll_accept(&mut cx).is_ready());
    }
    assert!(acceptor.poll_accept(&mut cx).is_pending());
    for _ in 0..BATCH {
        assert!(acceptor.poll_accept(&mut cx).is_ready());
    }
    assert!(acceptor.poll_accept(&mut cx).is_pending());
}
