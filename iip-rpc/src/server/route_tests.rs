use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use iip_core::server::{Failure, Incoming, Route, Runner};
use iip_core::session::Payload;
use iip_core::wire::Path;

use super::dispatch::Messages;
use super::route::UnaryRoute;
use crate::deadline::now;
use crate::envelope::{self, Direction, Head, MessageBytes, Trailer};
use crate::{Code, Idempotency, Metadata, MethodDescriptor, MethodKind, Outcome, Request};
use crate::{Response, Status, plain};

static METHOD: MethodDescriptor =
    MethodDescriptor::new("/s.S/M", MethodKind::Unary, Idempotency::Unknown);

fn route<F, Fut>(handler: F) -> UnaryRoute<F, String, String>
where
    F: Fn(Request<String>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<String>, Status>> + Send + 'static,
{
    UnaryRoute {
        descriptor: &METHOD,
        handler: Arc::new(handler),
        messages: Messages {
            max: 1000,
            compress: None,
        },
        types: PhantomData,
    }
}

fn incoming(data: Bytes, enveloped: bool) -> Incoming {
    Incoming::detached(Path::from_static("/s.S/M"), data, enveloped, Instant::now())
}

fn poll(runner: &mut Pin<Box<dyn Runner>>) -> Poll<Bytes> {
    let mut context = Context::from_waker(Waker::noop());
    runner.as_mut().poll(&mut context).map(|reply| {
        match reply.into_payload().expect("a whole reply") {
            Payload::Whole(data) => data,
            Payload::Chunks(_) => panic!("cut"),
        }
    })
}

fn call(runner: &mut Pin<Box<dyn Runner>>, data: Bytes, enveloped: bool) -> Bytes {
    runner.as_mut().begin(incoming(data, enveloped));
    match poll(runner) {
        Poll::Ready(data) => data,
        Poll::Pending => panic!("pending"),
    }
}

/// A request of a native client.
fn native(text: &str, timeout_us: Option<u64>, metadata: &Metadata) -> Bytes {
    let message = MessageBytes::encode(&text.to_owned()).unwrap();
    let head = Head::to_record(timeout_us, metadata, None);
    match envelope::write(head, message, Bytes::new()) {
        Payload::Whole(data) => data,
        Payload::Chunks(_) => panic!("cut"),
    }
}

fn bare(text: &str) -> Bytes {
    native(text, None, &Metadata::new())
}

fn answer(data: Bytes) -> Result<String, Status> {
    let inbound = envelope::read(Direction::Response, data, usize::MAX).unwrap();
    match inbound.trailer {
        Some(Trailer::Failed(status)) => Err(status),
        _ => Ok(inbound.message.unwrap().decode().unwrap()),
    }
}

async fn greet(request: Request<String>) -> Result<Response<String>, Status> {
    match request.get_ref().as_str() {
        "nobody" => Err(Status::not_found("nobody is here")),
        "passed on" => Err(Status::unavailable("elsewhere").with_outcome(Outcome::NotProcessed)),
        "metadata" => {
            let mut response =
                Response::new(request.metadata().get("k").unwrap_or("none").to_owned())
                    .with_metadata("head", "h");
            response.trailers_mut().insert("tail", "t")?;
            Ok(response)
        }
        "bad metadata" => Ok(Response::new(String::new()).with_metadata("a b", "")),
        "" => Ok(Response::new(String::new())),
        name => Ok(Response::new(format!("Hello {name}!"))),
    }
}

#[test]
fn one_runner_serves_call_after_call() {
    let mut runner = route(greet).runner();
    for name in ["you", "me"] {
        let reply = call(&mut runner, bare(name), true);
        assert_eq!(answer(reply).unwrap(), format!("Hello {name}!"));
    }
    let status = answer(call(&mut runner, bare("nobody"), true)).unwrap_err();
    assert_eq!(status.to_string(), "NOT_FOUND: nobody is here");
    let reply = call(&mut runner, plain_request("you"), false);
    assert_eq!(
        plain::response(reply).unwrap().decode::<String>().unwrap(),
        "Hello you!"
    );
    assert!(answer(call(&mut runner, bare("again"), true)).is_ok());
}

fn plain_request(text: &str) -> Bytes {
    plain::outgoing(MessageBytes::encode(&text.to_owned()).unwrap())
}

#[test]
fn a_call_that_is_ready_at_once_allocates_nothing() {
    let route = UnaryRoute {
        descriptor: &METHOD,
        handler: Arc::new(|request: Request<u64>| async move {
            Ok::<_, Status>(Response::new(request.into_inner() + 1))
        }),
        messages: Messages {
            max: 1000,
            compress: None,
        },
        types: PhantomData,
    };
    let mut runner = route.runner();
    let (data, _) = MessageBytes::encode(&7u64).unwrap().into_record();
    let mut count = || {
        let request = incoming(data.clone(), true);
        let counted = allocation_counter::measure(|| {
            runner.as_mut().begin(request);
            assert!(poll(&mut runner).is_ready());
        });
        counted.count_total
    };
    // The first calls make the thread's two buffers; one is then held by `data`.
    let warm: u64 = (0..10_000).map(|_| count()).sum();
    assert!(warm < 10, "{warm}");
    let steady: u64 = (0..10_000).map(|_| count()).sum();
    assert_eq!(steady, 0);
}

#[test]
fn metadata_travels_both_ways() {
    let mut metadata = Metadata::new();
    metadata.insert("k", "v").unwrap();
    let mut runner = route(greet).runner();
    let reply = call(&mut runner, native("metadata", None, &metadata), true);
    let inbound = envelope::read(Direction::Response, reply, usize::MAX).unwrap();
    assert_eq!(inbound.head.metadata.get("head"), Some("h"));
    assert!(matches!(inbound.trailer, Some(Trailer::Ok(t)) if t.get("tail") == Some("t")));
    let status = answer(call(&mut runner, bare("bad metadata"), true)).unwrap_err();
    assert_eq!(status.code(), Code::Internal);
}

#[test]
fn a_plain_client_gets_plain_answers() {
    let mut runner = route(greet).runner();
    for empty in [&b"\xc0\xa3\x09\x00"[..], b"{}"] {
        let reply = call(&mut runner, Bytes::copy_from_slice(empty), false);
        assert_eq!(&reply[..], b"\xc0\xa3\x09\x00");
    }
    assert_eq!(
        &call(&mut runner, plain_request("nobody"), false)[..],
        br#"{"code":-1,"message":"handler fail:NOT_FOUND: nobody is here"}"#
    );
    let status = plain::response(call(&mut runner, Bytes::from_static(b"\xff"), false));
    assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn what_is_not_a_request_is_not_run() {
    let mut runner = route(|_| async { panic!("run") }).runner();
    for (data, code) in [
        (&b""[..], Code::Internal),
        (b"\x02\x05", Code::Internal),
        (b"\x02\x01\xff", Code::InvalidArgument),
        (b"\x42\x00", Code::Internal),
        (b"\x02\x00\x06\x01\x01", Code::Cancelled),
    ] {
        let status = answer(call(&mut runner, Bytes::from_static(data), true)).unwrap_err();
        assert_eq!(status.code(), code, "{data:02x?}");
        assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    }
}

#[test]
fn a_status_passed_on_does_not_claim_that_this_call_was_not_run() {
    let mut runner = route(greet).runner();
    let status = answer(call(&mut runner, bare("passed on"), true)).unwrap_err();
    assert_eq!(status.outcome(), None);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_arrival() {
    let second = Duration::from_secs(1);
    let mut runner = route(|request| async move {
        request.deadline().map_or_else(
            || Ok(Response::new("none".to_owned())),
            |deadline| {
                Ok(Response::new(format!(
                    "{:?}",
                    deadline.duration_since(now())
                )))
            },
        )
    })
    .runner();
    let mut begin = |timeout_us, ago| {
        let data = native("m", timeout_us, &Metadata::new());
        let path = Path::from_static("/s.S/M");
        runner
            .as_mut()
            .begin(Incoming::detached(path, data, true, now() - ago));
        let deadline = runner.deadline();
        let Poll::Ready(reply) = poll(&mut runner) else {
            panic!("pending");
        };
        (deadline, answer(reply))
    };
    let (deadline, text) = begin(Some(3_000_000), second);
    assert_eq!(deadline, Some(now() + 2 * second));
    assert_eq!(text.unwrap(), "2s");
    let (deadline, text) = begin(None, second);
    assert_eq!((deadline, text.unwrap().as_str()), (None, "none"));
    for (timeout_us, ago) in [(0, Duration::ZERO), (1_000_000, second)] {
        let status = begin(Some(timeout_us), ago).1.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    }
}

#[test]
fn a_pending_handler_goes_on() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let wait = Arc::clone(&gate);
    let mut runner = route(move |_| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            Ok(Response::new("done".to_owned()))
        }
    })
    .runner();
    runner.as_mut().begin(incoming(bare("m"), true));
    assert!(poll(&mut runner).is_pending());
    gate.notify_one();
    let Poll::Ready(reply) = poll(&mut runner) else {
        panic!("pending");
    };
    assert_eq!(answer(reply).unwrap(), "done");
}

#[test]
fn the_framework_answers_in_the_callers_form() {
    let route = route(greet);
    let whole = |payload| match payload {
        Payload::Whole(data) => data,
        Payload::Chunks(_) => panic!("cut"),
    };
    for (failure, code, number) in [
        (Failure::Expired, Code::DeadlineExceeded, 114),
        (Failure::Stalled, Code::DeadlineExceeded, 114),
        (Failure::Panicked, Code::Internal, 101),
        (Failure::Aborted, Code::Unavailable, 110),
    ] {
        let status = answer(whole(route.failure(&failure, true))).unwrap_err();
        assert_eq!((status.code(), status.outcome()), (code, None));
        let json = whole(route.failure(&failure, false));
        assert!(
            json.starts_with(format!("{{\"code\":{number},").as_bytes()),
            "{json:?}"
        );
    }
}

#[test]
fn a_call_that_ends_fires_its_token_and_no_later_one() {
    let tokens = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&tokens);
    let mut runner = route(move |request: Request<String>| {
        kept.lock().unwrap().push(request.cancellation());
        async move {
            if request.get_ref() == "never" {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(String::new()))
        }
    })
    .runner();
    let fired = |tokens: &std::sync::Mutex<Vec<crate::Cancellation>>| {
        let tokens = tokens.lock().unwrap();
        tokens
            .iter()
            .map(|token| token.is_cancelled())
            .collect::<Vec<_>>()
    };
    call(&mut runner, bare("you"), true);
    call(&mut runner, bare("you"), true);
    runner.as_mut().begin(incoming(bare("never"), true));
    assert!(poll(&mut runner).is_pending());
    assert_eq!(fired(&tokens), [true, true, false]);
    drop(runner);
    assert_eq!(fired(&tokens), [true, true, true]);
}
