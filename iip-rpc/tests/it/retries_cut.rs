//! What becomes of calls whose connections and servers end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_rpc::codegen::{MethodDescriptor, unary};
use iip_rpc::testing::Faults;
use iip_rpc::{Channel, Code, Outcome, Request, Response, Status};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::retries::{AGAIN, Act, PLAIN, READ, Seen, call, serve, server};

/// Makes a call of a message of this length, over connections the first of which is cut at a byte; returns the result,
/// and how often the call ran.
async fn cut_at(
    byte: u64,
    method: &'static MethodDescriptor,
    len: usize,
) -> (Result<Response<String>, Status>, usize, u64) {
    let seen = Arc::new(Seen::default());
    let target = serve(&seen).await.parse().unwrap();
    let relay = Faults::new(1)
        .drop_after(byte..=byte)
        .first(1)
        .relay(&target);
    let channel = Channel::builder(relay.address().to_string())
        .wait_for_ready()
        .connect_lazy()
        .unwrap();
    let result = unary(&channel, method, Request::new("x".repeat(len))).await;
    // What is still on its way arrives.
    sleep(Duration::from_secs(1)).await;
    (result, seen.runs(), relay.connections())
}

/// Wherever the connection is cut, a method that must not run twice does not, and its caller knows what there is to
/// know; one that may is answered.
#[tokio::test(start_paused = true)]
async fn a_connection_is_cut_at_every_byte() {
    for len in [3, 300] {
        let (mut unknown, mut again) = (0, 0);
        for byte in 0.. {
            let (result, runs, connections) = cut_at(byte, &PLAIN, len).await;
            match result {
                Ok(reply) => {
                    assert_eq!(reply.into_inner().len(), len, "byte {byte}");
                    assert_eq!(runs, 1, "byte {byte}");
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "byte {byte}: {status}");
                    assert_eq!(
                        status.outcome(),
                        Some(Outcome::Unknown),
                        "byte {byte}: {status}"
                    );
                    assert_eq!(status.attempts(), 1, "byte {byte}: {status}");
                    assert!(runs <= 1, "byte {byte}");
                    unknown += 1;
                }
            }
            let (result, runs, _) = cut_at(byte, &AGAIN, len).await;
            assert_eq!(result.unwrap().into_inner().len(), len, "byte {byte}");
            assert!((1..=2).contains(&runs), "byte {byte}: {runs}");
            again += usize::from(runs == 2);
            if connections == 1 {
                // Nothing was cut before the call was over.
                break;
            }
        }
        // Both kinds of bytes were there: those after which the server had the request, and those before.
        assert!(unknown > len && again > 0, "{unknown} {again}");
    }
}

/// Every connection is lost before it has taken a whole call: the call is made again until its deadline, at a pace.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_tried_until_the_deadline() {
    let seen = Arc::new(Seen::default());
    let target = serve(&seen).await.parse().unwrap();
    // Enough for the hello of both sides, and not for a request of this size.
    let relay = Faults::new(1).drop_after(2000..=2000).relay(&target);
    let channel = Channel::builder(relay.address().to_string()).connect_lazy();
    let channel = channel.unwrap();
    let start = Instant::now();
    let request = Request::new("x".repeat(1_000_000)).with_timeout(Duration::from_secs(5));
    let ended: Result<Response<String>, _> = unary(&channel, &PLAIN, request).await;
    let status = ended.unwrap_err();
    assert_eq!(status.outcome(), Some(Outcome::NotSent), "{status}");
    assert!(status.attempts() > 1, "{status}");
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert!(
        (2..100).contains(&relay.connections()),
        "{}",
        relay.connections()
    );
    assert_eq!(seen.runs(), 0);
}

/// The call's deadline itself is not a failure after which there could be another attempt.
#[tokio::test(start_paused = true)]
async fn a_deadline_is_the_end() {
    let seen = Seen::new([Act::Hang]);
    let target = serve(&seen).await.parse().unwrap();
    // So the server's answer, that the time is over, comes too late.
    let slow = Duration::from_millis(50);
    let relay = Faults::new(1).delay(slow..=slow).relay(&target);
    let address = relay.address().to_string();
    let channel = Channel::connect(address).await.unwrap();
    let request = Request::new("hi".to_owned()).with_timeout(Duration::from_millis(400));
    let ended: Result<Response<String>, _> = unary(&channel, &READ, request).await;
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
    assert!(!status.to_string().contains("attempt"), "{status}");
    assert_eq!(seen.runs(), 1);
}

/// Servers replace each other at one address while calls go on: none is lost, and none runs twice.
#[tokio::test(start_paused = true)]
async fn restarts_lose_no_call() {
    const ADDRESS: &str = "memory://retries-restarts";
    const CALLERS: usize = 20;
    let seen = Arc::new(Seen::default());
    let start = async || {
        let server = server(&seen).bind(ADDRESS).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve_with_shutdown(stopped, Duration::from_secs(30)));
        (stop, serving)
    };
    let mut running = start().await;
    let builder = Channel::builder(ADDRESS).wait_for_ready();
    let channel = builder.connect().await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (channel, done) = (channel.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut made = 0;
                while done.load(Ordering::Relaxed) == 0 {
                    call(&channel, &PLAIN).await.unwrap();
                    made += 1;
                    sleep(Duration::from_millis(1)).await;
                }
                made
            })
        })
        .collect();
    for _ in 0..20 {
        sleep(Duration::from_millis(50)).await;
        let (stop, serving) = running;
        drop(stop);
        let report = serving.await.unwrap().unwrap();
        assert_eq!(report.cut_calls, 0);
        running = start().await;
    }
    done.store(1, Ordering::Relaxed);
    let mut made = 0;
    for caller in callers {
        made += caller.await.unwrap();
    }
    assert!(made > CALLERS * 20, "{made}");
    assert_eq!(seen.runs(), made);
}

/// A server that is not there is not waited for, unless that was asked for.
#[tokio::test(start_paused = true)]
async fn without_a_server_calls_fail_at_once() {
    let channel = Channel::builder("memory://retries-nowhere").connect_lazy();
    let channel = channel.unwrap();
    let start = Instant::now();
    for method in [&PLAIN, &AGAIN, &READ] {
        let status = call(&channel, method).await.unwrap_err();
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
        assert_eq!(status.attempts(), 1);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}
