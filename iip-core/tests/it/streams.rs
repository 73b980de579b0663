//! Calls of records whose messages travel one by one, in both directions.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::conn::{CallReceiver, CallSender};
use iip_core::server::{
    Failure, FrameReceiver, FrameSender, FutureRunner, Incoming, Reply, Route, Runner,
    ServerBuilder,
};
use iip_core::session::{Chunk, Delivery, Format, MESSAGE_COST, Payload};
use iip_core::wire::Path;
use iip_core::wire::record::{RecordKind, encode_header, split_record};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::running::{Running, echo, limited};

/// A route of records, made of an async function.
pub(crate) struct Streaming<F>(Arc<F>);

pub(crate) fn streaming<F, Fut>(function: F) -> Arc<dyn Route>
where
    F: Fn(FrameReceiver, FrameSender) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    Arc::new(Streaming(Arc::new(function)))
}

impl<F, Fut> Route for Streaming<F>
where
    F: Fn(FrameReceiver, FrameSender) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    fn format(&self) -> Format {
        Format::Enveloped
    }

    fn delivery(&self) -> Delivery {
        Delivery::Frames
    }

    fn runner(&self) -> Pin<Box<dyn Runner>> {
        let function = Arc::clone(&self.0);
        Box::pin(FutureRunner::new(move |request: Incoming| {
            let (frames, response) = request.into_streams();
            function(frames, response)
        }))
    }

    fn failure(&self, failure: &Failure, _native: bool) -> Payload {
        Payload::Whole(record(
            RecordKind::TRAILER,
            format!("{failure:?}").as_bytes(),
        ))
    }
}

pub(crate) fn record(kind: RecordKind, payload: &[u8]) -> Bytes {
    [&encode_header(kind, payload.len() as u64)[..], payload]
        .concat()
        .into()
}

pub(crate) fn message(text: &[u8]) -> Chunk {
    Chunk::new(&[], record(RecordKind::MESSAGE, text)).costing(text.len() + MESSAGE_COST)
}

/// The records of a response, as they arrive.
pub(crate) struct Inbox {
    pub(crate) receiver: CallReceiver,
    frame: Bytes,
    pub(crate) frames: usize,
}

impl Inbox {
    pub(crate) fn new(receiver: CallReceiver) -> Self {
        Self {
            receiver,
            frame: Bytes::new(),
            frames: 0,
        }
    }

    pub(crate) async fn next(&mut self) -> Option<(RecordKind, Bytes)> {
        loop {
            if let Some((kind, payload)) = split_record(&mut self.frame).unwrap() {
                if kind == RecordKind::MESSAGE {
                    self.receiver.consumed(payload.len() + MESSAGE_COST);
                }
                return Some((kind, payload));
            }
            self.frame = limited(self.receiver.frame()).await.unwrap()?;
            self.frames += 1;
        }
    }

    pub(crate) async fn message(&mut self) -> Bytes {
        match self.next().await {
            Some((RecordKind::MESSAGE, payload)) => payload,
            other => panic!("{other:?} instead of a message"),
        }
    }
}

/// The messages of a request, as they arrive; `None` at its end.
pub(crate) async fn next(frames: &mut FrameReceiver, rest: &mut Bytes) -> Option<Bytes> {
    loop {
        while let Some((kind, payload)) = split_record(rest).unwrap() {
            if kind == RecordKind::MESSAGE {
                frames.consumed(payload.len() + MESSAGE_COST);
                return Some(payload);
            }
        }
        *rest = poll_fn(|cx| frames.poll_frame(cx)).await.ok()??;
    }
}

/// Sends every message back, and the number of them in the trailer.
async fn mirror(mut frames: FrameReceiver, mut response: FrameSender) -> Reply {
    let mut rest = Bytes::new();
    let mut count = 0;
    while let Some(text) = next(&mut frames, &mut rest).await {
        count += 1;
        if poll_fn(|cx| response.poll_ready(cx)).await.is_err()
            || response.push(message(&text), false).is_err()
        {
            return Reply::sent();
        }
    }
    let trailer = record(RecordKind::TRAILER, format!("{count}").as_bytes());
    Reply::from(Payload::Whole(trailer))
}

/// Answers after the first message.
async fn early(mut frames: FrameReceiver, _response: FrameSender) -> Reply {
    let text = next(&mut frames, &mut Bytes::new()).await;
    let text = text.unwrap_or_default();
    Reply::from(Payload::Whole(record(RecordKind::MESSAGE, &text)))
}

/// As many messages as the request says.
async fn count(mut frames: FrameReceiver, mut response: FrameSender) -> Reply {
    let text = next(&mut frames, &mut Bytes::new()).await;
    let text = text.unwrap_or_default();
    let count: usize = std::str::from_utf8(&text).unwrap().parse().unwrap();
    for number in 0..count {
        if poll_fn(|cx| response.poll_ready(cx)).await.is_err() {
            return Reply::sent();
        }
        let last = number + 1 == count;
        let chunk = message(format!("{number}").as_bytes());
        if response.push(chunk, last).is_err() {
            return Reply::sent();
        }
    }
    Reply::sent()
}

pub(crate) fn routes() -> ServerBuilder {
    echo()
        .route(&Path::from_static("/t.S/Mirror"), streaming(mirror))
        .route(&Path::from_static("/t.S/Early"), streaming(early))
        .route(&Path::from_static("/t.S/Count"), streaming(count))
}

pub(crate) async fn open(
    client: &Client,
    path: &'static str,
    payload: Payload,
    complete: bool,
) -> (CallSender, Inbox) {
    let path = Path::from_static(path);
    let connection = client.ready(None).await.unwrap();
    let opened = connection.open(&path, Format::Enveloped, payload, complete, None);
    let (sender, receiver) = opened.unwrap_or_else(|failure| panic!("{failure:?}"));
    (sender, Inbox::new(receiver))
}

pub(crate) async fn ready(sender: &mut CallSender) -> bool {
    limited(poll_fn(|cx| sender.poll_ready(cx))).await.is_ok()
}

#[tokio::test]
async fn messages_travel_both_ways_one_by_one() {
    let server = Running::start(routes()).await;
    let client = server.client().await;
    let (mut sender, mut inbox) =
        open(&client, "/t.S/Mirror", Payload::Whole(Bytes::new()), false).await;
    for size in [1, 0, 100, 16_000, 5] {
        let text = vec![7; size];
        assert!(ready(&mut sender).await);
        sender.push(message(&text), false).unwrap();
        assert_eq!(inbox.message().await, text);
    }
    sender.push(message(b"last"), true).unwrap();
    assert_eq!(inbox.message().await, "last");
    let (kind, trailer) = inbox.next().await.unwrap();
    assert_eq!((kind, &trailer[..]), (RecordKind::TRAILER, &b"6"[..]));
    assert!(inbox.next().await.is_none());
    assert!(!ready(&mut sender).await, "the call is over");
    assert!(sender.push(message(b"late"), true).is_err());
    assert_eq!(client.call("/echo", "after").await.unwrap(), "after");
}

#[tokio::test]
async fn many_small_messages_share_frames() {
    const COUNT: usize = 20_000;
    let server = Running::start(routes()).await;
    let client = server.client().await;
    let first = Payload::from(vec![message(format!("{COUNT}").as_bytes())]);
    let (_sender, mut inbox) = open(&client, "/t.S/Count", first, true).await;
    for number in 0..COUNT {
        assert_eq!(inbox.message().await, format!("{number}"));
    }
    assert!(inbox.next().await.is_none());
    assert!(inbox.frames < COUNT / 20, "{} frames", inbox.frames);
}

#[tokio::test]
async fn more_than_fits_waits_for_room_and_arrives() {
    let server = Running::start_on(routes(), "memory://streams-room").await;
    let client = server.client().await;
    let (mut sender, mut inbox) =
        open(&client, "/t.S/Mirror", Payload::Whole(Bytes::new()), false).await;
    const COUNT: usize = 2_000;
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            assert!(ready(&mut sender).await);
            let text = vec![number as u8; number * 7 % 10_000];
            sender.push(message(&text), number + 1 == COUNT).unwrap();
        }
    });
    for number in 0..COUNT {
        assert_eq!(
            inbox.message().await,
            vec![number as u8; number * 7 % 10_000]
        );
    }
    limited(sending).await.unwrap();
    assert_eq!(inbox.next().await.unwrap().0, RecordKind::TRAILER);
    assert!(inbox.next().await.is_none());
}

#[tokio::test]
async fn an_early_answer_ends_the_request() {
    let server = Running::start(routes()).await;
    let client = server.client().await;
    for _ in 0..50 {
        let first = Payload::from(vec![message(b"first")]);
        let (mut sender, mut inbox) = open(&client, "/t.S/Early", first, false).await;
        assert_eq!(inbox.message().await, "first");
        assert!(inbox.next().await.is_none());
        assert!(!ready(&mut sender).await);
        assert!(sender.push(message(b"more"), false).is_err());
    }
    assert_eq!(client.connections(), 1);
}

/// A request that its sender gives up never looks complete.
#[tokio::test]
async fn a_sender_that_is_dropped_cancels_its_request() {
    let server = Running::start(routes()).await;
    let client = server.client().await;
    let first = Payload::from(vec![message(b"first")]);
    let (sender, mut inbox) = open(&client, "/t.S/Mirror", first, false).await;
    assert_eq!(inbox.message().await, "first");
    sender.cancel();
    assert_eq!(inbox.next().await.unwrap().0, RecordKind::TRAILER);
    assert!(inbox.next().await.is_none());

    let (sender, inbox) = open(&client, "/t.S/Mirror", Payload::Whole(Bytes::new()), false).await;
    drop(inbox);
    let mut sender = sender;
    let over = poll_fn(|cx| Poll::Ready(sender.poll_ready(cx))).await;
    assert!(matches!(over, Poll::Ready(Err(_))), "the call was given up");
    assert_eq!(client.call("/echo", "after").await.unwrap(), "after");
}

/// Takes nothing until it is told to.
fn stalled(permit: Arc<Semaphore>) -> Arc<dyn Route> {
    streaming(move |frames, response| {
        let permit = Arc::clone(&permit);
        async move {
            let _permit = permit.acquire().await;
            mirror(frames, response).await
        }
    })
}

/// Pushes as much as there is room for; returns how much that was.
async fn fill(sender: &mut CallSender, text: &[u8]) -> usize {
    let mut bytes = 0;
    loop {
        let room = poll_fn(|cx| Poll::Ready(sender.poll_ready(cx))).await;
        match room {
            Poll::Ready(room) => room.unwrap(),
            Poll::Pending => return bytes,
        }
        sender.push(message(text), false).unwrap();
        bytes += text.len();
    }
}

/// In virtual time, in which only waiting costs any: calls beside streams that nobody reads take none, at either end, and
/// what the streams hold is bounded.
#[tokio::test(start_paused = true)]
async fn a_stalled_stream_holds_up_nobody_and_holds_little() {
    let permit = Arc::new(Semaphore::new(0));
    let path = Path::from_static("/t.S/Stalled");
    let builder = routes().route(&path, stalled(Arc::clone(&permit)));
    let server = Running::start_on(builder, "memory://stalled").await;
    let client = server.builder().max_connections(1).connect().await.unwrap();
    let mut senders = Vec::new();
    let mut inboxes = Vec::new();
    // Requests whose handlers do not read, and responses that nobody reads.
    for _ in 0..100 {
        let (sender, inbox) =
            open(&client, "/t.S/Stalled", Payload::Whole(Bytes::new()), false).await;
        senders.push(sender);
        inboxes.push(inbox);
        let first = Payload::from(vec![message(b"1000000")]);
        inboxes.push(open(&client, "/t.S/Count", first, true).await.1);
    }
    let mut sent = 0;
    for round in 0..20 {
        for sender in &mut senders {
            sent += fill(sender, &[1; 1000]).await;
        }
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(client.call("/echo", "beside").await.unwrap(), "beside");
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "round {round}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Credit for a window each, and what may be queued.
    assert!(sent < 100 * 110_000, "{sent}");
    assert_eq!(client.connections(), 1);
    // They go on as if nothing had been.
    permit.add_permits(100);
    for sender in &mut senders {
        assert!(ready(sender).await);
        sender.push(message(b"last"), true).unwrap();
    }
    let mut received = 0;
    for inbox in inboxes.iter_mut().step_by(2) {
        while let Some((kind, payload)) = inbox.next().await {
            if kind == RecordKind::MESSAGE {
                received += payload.len();
            }
        }
    }
    assert_eq!(received, sent + 100 * 4);
    // Who is given up is told so at once.
    drop(inboxes);
    drop(senders);
    assert_eq!(client.call("/echo", "after").await.unwrap(), "after");
}

/// Tells when it is dropped.
struct Told(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_on_its_server() {
    let (gone, mut hears) = mpsc::unbounded_channel();
    let waits = |what: &'static str| {
        let gone = gone.clone();
        streaming(move |mut frames, mut response| {
            let told = Told(gone.clone(), what);
            async move {
                let _told = told;
                let _ = poll_fn(|cx| frames.poll_frame(cx)).await;
                let _ = told_of_end(&mut response).await;
                std::future::pending().await
            }
        })
    };
    let builder = routes().route(&Path::from_static("/t.S/Waits"), waits("stream"));
    let server = Running::start(builder).await;
    let client = server.client().await;
    let first = || Payload::from(vec![message(b"first")]);
    // Complete or open, by its receiver or by its sender.
    let halves = open(&client, "/t.S/Waits", first(), true).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(halves);
    assert_eq!(limited(hears.recv()).await, Some("stream"));
    let (sender, inbox) = open(&client, "/t.S/Waits", first(), false).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(inbox);
    assert_eq!(limited(hears.recv()).await, Some("stream"));
    drop(sender);
    let (sender, mut inbox) = open(&client, "/t.S/Waits", first(), false).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    sender.cancel();
    assert_eq!(limited(hears.recv()).await, Some("stream"));
    let (kind, text) = inbox.next().await.unwrap();
    assert_eq!((kind, &text[..]), (RecordKind::TRAILER, &b"Cancelled"[..]));
    // A unary call.
    let connection = client.ready(None).await.unwrap();
    let payload = Payload::Whole(record(RecordKind::MESSAGE, b"x"));
    let path = Path::from_static("/t.S/Waits");
    let call = connection.call(&path, Format::Enveloped, payload, None);
    let given_up = tokio::time::timeout(Duration::from_millis(5), call).await;
    assert!(given_up.is_err());
    assert_eq!(limited(hears.recv()).await, Some("stream"));
    assert_eq!(client.call("/echo", "after").await.unwrap(), "after");
    assert_eq!(client.connections(), 1);
}

async fn told_of_end(response: &mut FrameSender) {
    poll_fn(|cx| response.poll_closed(cx)).await;
}

/// Both halves of a call give it up when they are dropped. The second time its channel may be another call's, whose
/// answer nobody would be told of.
#[tokio::test]
async fn a_half_that_is_dropped_late_does_not_touch_the_next_call() {
    let server = Running::start(routes()).await;
    let client = server.client().await;
    let first = Payload::from(vec![message(b"first")]);
    let (late, mut inbox) = open(&client, "/t.S/Early", first, false).await;
    assert_eq!(inbox.message().await, "first");
    assert!(inbox.next().await.is_none());
    drop(inbox);
    // What is sent on the connection next goes behind the end of the first request, which frees its channel.
    assert_eq!(client.call("/echo", "between").await.unwrap(), "between");
    let (mut sender, mut inbox) =
        open(&client, "/t.S/Mirror", Payload::Whole(Bytes::new()), false).await;
    let waiting = tokio::spawn(async move {
        let answer = inbox.next().await;
        (answer, inbox)
    });
    // On this runtime of one thread the task runs, and waits, before this one goes on.
    tokio::task::yield_now().await;
    drop(late);
    assert!(ready(&mut sender).await);
    sender.push(message(b"second"), true).unwrap();
    let (answer, mut inbox) = limited(waiting).await.unwrap();
    assert_eq!(answer.unwrap().1, "second");
    assert_eq!(inbox.next().await.unwrap().0, RecordKind::TRAILER);
}
