//! Calls given up at every moment, on every core: no wake-up is lost, and no answer reaches another call.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use iip_core::client::Client;
use iip_core::server::{Incoming, ServerBuilder, handler_fn};
use iip_core::session::{Format, Limits, Payload};
use iip_core::wire::Path;
use tokio::task::yield_now;

use crate::running::{Running, echo, limited};

/// Polls at most so often, and drops what is not ready then.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Echoes; a request that begins with `w` waits a little first.
fn sometimes_slow() -> ServerBuilder {
    echo().handler(
        "/some",
        handler_fn(|request: Incoming| async move {
            if request.data().first() == Some(&b'w') {
                yield_now().await;
            }
            Ok(request.into_data())
        }),
    )
}

async fn caller(client: Client, caller: u64, calls: usize) -> usize {
    let mut random = Rng::with_seed(caller);
    let path = Path::from_static("/some");
    let mut answered = 0;
    for call in 0..calls {
        let slow = if random.bool() { "w" } else { "" };
        let mut text = format!("{slow}{caller}/{call}");
        if random.u8(..200) == 0 {
            text.push_str(&"x".repeat(random.usize(..100_000)));
        }
        let data = Bytes::from(text);
        let deadline = (random.u8(..50) == 0)
            .then(|| std::time::Instant::now() + Duration::from_micros(random.u64(..500)));
        let given_up = random.u8(..10) == 0;
        let future = client.call_until(&path, Format::Raw, Payload::Whole(data.clone()), deadline);
        let result = if given_up {
            polled(future, random.usize(..4)).await
        } else {
            Some(limited(future).await)
        };
        match result {
            Some(Ok(answer)) => {
                assert!(
                    answer == data,
                    "{caller}/{call} got {:?}",
                    &answer[..answer.len().min(30)]
                );
                answered += 1;
            }
            Some(Err(error)) => assert!(deadline.is_some() && error.is_deadline(), "{error}"),
            None => assert!(given_up),
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eighty_thousand_calls_of_which_many_are_given_up() {
    // Few channels, so that they are used again at once, and calls wait for them.
    let limits = Limits::default().max_channels(6);
    let server = Running::start_on(sometimes_slow().limits(limits), "memory://stress").await;
    let builder = server.builder().max_connections(2);
    let client = builder.connect().await.unwrap();
    let callers: Vec<_> = (0..8)
        .map(|number| tokio::spawn(caller(client.clone(), number, 10_000)))
        .collect();
    let mut answered = 0;
    for caller in callers {
        answered += limited(caller).await.unwrap();
    }
    assert!(answered > 60_000, "{answered}");
    assert_eq!(client.call("/echo", "after").await.unwrap(), "after");
    drop(client);
    let report = server.stop().await;
    assert_eq!((report.cut_calls, report.cut_connections), (0, 0));
}

/// Dropped after each number of polls there can be, a call leaves its connection as good as before.
#[tokio::test]
async fn a_call_may_be_dropped_at_every_await() {
    let limits = Limits::default().max_channels(3);
    let server = Running::start(sometimes_slow().limits(limits)).await;
    let client = Arc::new(server.builder().max_connections(1).connect().await.unwrap());
    for length in [1, 40_000, 1_000_000] {
        let data = Bytes::from(vec![b'w'; length]);
        for times in 0..6 {
            // As many as there are channels, and one that waits.
            let calls = [(); 3].map(|()| {
                let (client, data) = (Arc::clone(&client), data.clone());
                tokio::spawn(async move { polled(client.call("/some", data), times).await })
            });
            for call in calls {
                if let Some(answer) = limited(call).await.unwrap() {
                    assert!(answer.unwrap() == data);
                }
            }
            assert_eq!(limited(client.call("/some", "next")).await.unwrap(), "next");
            assert_eq!(client.connections(), 1);
        }
    }
}

/// The same for what a call is made of: waiting for a connection, sending piece by piece, receiving.
#[tokio::test]
async fn a_call_of_frames_may_be_dropped_at_every_await() {
    let server = Running::start(sometimes_slow()).await;
    let client = server.client().await;
    for times in 0..12 {
        let pieces = async {
            let (mut sender, mut receiver) = client.open("/some", "first", None).await.unwrap();
            for _ in 0..3 {
                sender.send(vec![b'x'; 50_000].into()).await.unwrap();
                yield_now().await;
            }
            sender.finish("last".into()).await.unwrap();
            let mut length = 0;
            while let Some(frame) = receiver.frame().await.unwrap() {
                length += frame.len();
            }
            length
        };
        let whole = polled(pieces, times).await;
        assert!(whole.is_none_or(|length| length == 150_009));
        assert_eq!(limited(client.call("/some", "next")).await.unwrap(), "next");
        assert_eq!(client.connections(), 1);
    }
}
