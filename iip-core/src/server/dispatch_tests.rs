use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::books::Books;
use super::dispatch::ServerEndpoint;
use super::gate::Gate;
use super::handler::{RawRoute, Whole};
use super::meters::Meters;
use super::overload::Overload;
use super::route::{Incoming, Paths, Peer, Route, Router};
use super::shared::{Polls, ServerCore, ServerShared};
use super::{Handler, HandlerError, handler_fn};
use crate::conn::{Endpoint, now};
use crate::session::{Batch, Limits, Output, ServerSession};
use crate::transport::PeerAddr;
use crate::wire::{ChannelId, Decoded, Decoder, FrameKind, MAX_DATA, encode_frame};

/// Each call of `/wait` costs a task that waits for ever; `/echo` answers at once.
fn endpoint(limits: Limits, run_limit: Duration) -> ServerEndpoint {
    let mut router = Router::default();
    let mut add = |path: &str, route: Arc<dyn Route>| {
        assert!(router.add(&path.parse().unwrap(), route));
    };
    add("/wait", whole(handler_fn(|_| std::future::pending())));
    let echo = async |request: Incoming| Ok::<_, HandlerError>(request.into_data());
    add("/echo", whole(handler_fn(echo)));
    let router = Arc::new(router);
    let core = ServerCore {
        router: Arc::clone(&router),
        default_timeout: None,
        run_limit,
        write_stall: Duration::from_secs(10),
        gate: Gate::new(1000, &Overload::default(), now()),
        max_abandoned: limits.max_abandoned,
        max_unread: 1 << 20,
        receive_budget: 1 << 20,
        held: AtomicUsize::new(0),
        cut_calls: AtomicUsize::new(0),
        cut_streams: AtomicUsize::new(0),
        books: Books::new(now(), Meters::new(Vec::new())),
    };
    let paths = Paths {
        router,
        statistics: false,
    };
    let session = ServerSession::new(Arc::new(limits), paths, None, now());
    let peer = Arc::new(Peer {
        address: PeerAddr::Memory,
    });
    ServerEndpoint::new(Arc::new(ServerShared::new(session, peer, Arc::new(core))))
}

fn whole(handler: impl Handler) -> Arc<dyn Route> {
    Arc::new(RawRoute::whole(Whole(handler)))
}

/// Sends one request of one frame.
fn request(endpoint: &mut ServerEndpoint, path: &str, channel: u32, data: &[u8], now: Instant) {
    let mut bytes = Vec::new();
    let kind = FrameKind::RequestWhole;
    assert!(encode_frame(
        &mut bytes,
        kind,
        path,
        ChannelId(channel),
        data
    ));
    let mut input = BytesMut::from(&bytes[..]);
    let received = input.len();
    endpoint.input(&mut input, received, Batch::ALL, now);
}

/// The answers that are ready, by channel.
fn answers(endpoint: &mut ServerEndpoint) -> Vec<(u32, String)> {
    let mut output = Output::default();
    endpoint.transmit(&mut output, 0, 1, Waker::noop());
    let mut input = BytesMut::from(output.whole().unwrap());
    let mut decoder = Decoder::new(MAX_DATA);
    let mut answers = Vec::new();
    while let Ok(Decoded::Frame(frame)) = decoder.decode(&mut input) {
        let channel = frame.channel().0;
        let data = String::from_utf8(frame.into_data().to_vec()).unwrap();
        answers.push((channel, data));
    }
    answers
}

/// Nothing is awaited here, so that no task of a handler is polled or dropped in between.
#[tokio::test]
async fn calls_that_expire_at_once_do_not_count_against_the_next() {
    let limit = Duration::from_secs(60);
    let mut endpoint = endpoint(Limits::default().max_abandoned(3), limit);
    let begun = now();
    request(
        &mut endpoint,
        "/sys/hello",
        0,
        br#"{"v":1,"channels":8}"#,
        begun,
    );
    for channel in 1..=6 {
        request(&mut endpoint, "/wait", channel, b"x", begun);
    }
    assert_eq!(answers(&mut endpoint).len(), 1, "the hello's");
    let late = begun + 2 * limit;
    endpoint.timeout(late);
    let expired = answers(&mut endpoint);
    assert_eq!(expired.len(), 6);
    assert!(expired.iter().all(|(_, text)| text.contains("deadline")));
    request(&mut endpoint, "/echo", 7, b"served", late);
    assert_eq!(answers(&mut endpoint), [(7, String::from("served"))]);
}

#[test]
fn what_is_polled_when_it_is_given_up_goes_on_and_nothing_else_does() {
    let waiting = Polls::default();
    assert!(waiting.begin());
    waiting.end();
    assert!(!waiting.give_up());
    assert!(!waiting.begin());

    let polled = Polls::default();
    assert!(polled.begin());
    assert!(polled.give_up());
    polled.end();
    assert!(!polled.begin());
}
