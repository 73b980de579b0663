//! Calls of all four kinds that are given up at random moments, over the real runtime: in the end nothing is left of
//! them, on either side, and no answer has reached another call.
//!
//! Moments are counted in polls, not in time, so that every state of a call is met, however fast the machine is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use iip_rpc::iip_core::session::Limits;
use iip_rpc::tokio::sync::Barrier;
use iip_rpc::tokio::task::{JoinSet, yield_now};
use iip_rpc::tokio::{runtime, spawn, time::timeout};
use iip_rpc::{Channel, Request, Response, Sender, Server, Status, Streaming};
use iip_tests::fixtures::streaming::route::{Point, Route, RouteClient, RouteServer, Summary};

/// Calls at a time: more than there are channels, so that some wait for one.
const CALLERS: usize = 40;

/// Channels of the connection, that of its events included.
const CHANNELS: u32 = 33;

/// Most handlers at a time.
const HANDLERS: usize = 64;

/// Nothing is awaited for so long but by a test that fails.
const FOR_EVER: Duration = Duration::from_secs(120);

/// Numbers of no consequence, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 33) as usize % end
    }

    /// Of up to so many bits: small ones are as likely as large ones.
    fn some(&mut self, bits: usize) -> usize {
        let bits = self.below(bits + 1);
        self.below(1 << bits)
    }
}

/// Counts handlers that have not ended, whichever way they end.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers that tell whose they are. A handler pauses for some turns, so that it is met at work.
struct Answers {
    running: Arc<AtomicUsize>,
    /// All who ask for the point below zero are answered together.
    together: Barrier,
}

async fn pause(turns: i32) {
    for _ in 0..turns {
        yield_now().await;
    }
}

impl Route for Answers {
    async fn find(&self, request: Request<Point>) -> Result<Response<Point>, Status> {
        let _running = Running::new(&self.running);
        let Point { x, y } = request.into_inner();
        if y < 0 {
            self.together.wait().await;
        }
        pause(y % 7).await;
        Ok(Response::new(Point { x, y }))
    }

    async fn list(&self, request: Request<Point>, out: Sender<Point>) -> Result<(), Status> {
        let _running = Running::new(&self.running);
        let Point { x, y } = request.into_inner();
        for step in 0..x {
            out.send(Point { x: step, y }).await?;
            pause(i32::from(step % 50 == y % 50)).await;
        }
        Ok(())
    }

    async fn record(
        &self,
        request: Request<Streaming<Point>>,
    ) -> Result<Response<Summary>, Status> {
        let _running = Running::new(&self.running);
        let mut stream = request.into_inner();
        let mut points = 0;
        while let Some(Point { x, .. }) = stream.message().await? {
            points += x as u32;
            pause(x % 3).await;
        }
        Ok(Response::new(Summary { points }))
    }

    async fn chat(
        &self,
        request: Request<Streaming<Point>>,
        out: Sender<Point>,
    ) -> Result<(), Status> {
        let _running = Running::new(&self.running);
        let mut stream = request.into_inner();
        while let Some(Point { x, y }) = stream.message().await? {
            out.send(Point { x: y, y: x }).await?;
        }
        Ok(())
    }

    async fn watch(&self, _: Request<Streaming<Point>>, _: Sender<Summary>) -> Result<(), Status> {
        Err(Status::unimplemented("nobody watches"))
    }
}

/// One whole call, which checks that what it gets is its own.
async fn call(
    client: RouteClient<Channel>,
    kind: usize,
    id: i32,
    length: i32,
) -> Result<(), Status> {
    match kind {
        0 => {
            let found = client.find(Point { x: length, y: id }).await?.into_inner();
            assert_eq!(found, Point { x: length, y: id });
        }
        1 => {
            let mut stream = client.list(Point { x: length, y: id }).await?.into_inner();
            let mut steps = 0;
            while let Some(point) = stream.message().await? {
                assert_eq!(point, Point { x: steps, y: id });
                steps += 1;
            }
            assert_eq!(steps, length);
        }
        2 => {
            let (out, reply) = client.record(()).await?;
            for _ in 0..length {
                out.send(Point { x: id, y: 0 }).await?;
            }
            out.finish().await?;
            assert_eq!(reply.await?.into_inner().points, (id * length) as u32);
        }
        _ => {
            let (out, mut stream) = client.chat(()).await?;
            for turn in 0..length {
                out.send(Point { x: turn, y: id }).await?;
                // Some are asked ahead.
                if turn % 3 == 0 {
                    let point = stream.message().await?;
                    assert_eq!(point, Some(Point { x: id, y: turn / 3 }));
                }
            }
            out.finish().await?;
            let mut answered = (length + 2) / 3;
            while let Some(point) = stream.message().await? {
                assert_eq!(point, Point { x: id, y: answered });
                answered += 1;
            }
            assert_eq!(answered, length);
        }
    }
    Ok(())
}

/// Polls a call again and again, up to so many times, and drops it then. What it yields if it ends before. The largest
/// number is patience without end.
async fn patient_for<F: Future>(polls: usize, call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if let Poll::Ready(output) = call.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if left == 0 {
            return Poll::Ready(None);
        }
        if left < usize::MAX {
            left -= 1;
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Waits until it is so: what was given up takes some turns to be forgotten.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let turns = async {
        while !is_so() {
            yield_now().await;
        }
    };
    if timeout(FOR_EVER, turns).await.is_err() {
        panic!("{what}");
    }
}

/// Makes calls and gives up most of them, after a number of polls of up to so many bits; how many ended by themselves.
async fn give_up(client: RouteClient<Channel>, seed: u64, calls: usize, bits: usize) -> usize {
    let mut random = Random(seed);
    let mut ended = 0;
    for turn in 0..calls {
        let kind = random.below(4);
        let id = (seed as usize * calls + turn + 1) as i32;
        // Up to so many messages that credit has to be granted.
        let length = match random.below(100) {
            0 => 1000,
            _ => random.some(5) as i32,
        };
        let polls = match random.below(10) {
            0 => usize::MAX,
            _ => random.some(bits),
        };
        if let Some(result) = patient_for(polls, call(client.clone(), kind, id, length)).await {
            result.expect("no call fails that is not given up");
            ended += 1;
        }
    }
    ended
}

async fn nothing_is_left(name: &str, calls: usize, bits: usize) {
    let running = Arc::new(AtomicUsize::new(0));
    let answers = Answers {
        running: Arc::clone(&running),
        together: Barrier::new(CHANNELS as usize - 1),
    };
    let server = Server::builder()
        .add_service(RouteServer::new(answers))
        .limits(Limits::default().max_channels(CHANNELS))
        .max_in_flight(HANDLERS)
        .bind(format!("memory://cancellation-{name}"))
        .await
        .expect("a name is free");
    let load = server.load();
    let address = server.local_addr().to_string();
    let serving = spawn(server.serve());
    let channel = Channel::builder(address)
        .max_connections(1)
        .connect()
        .await
        .expect("a connection");
    let client = RouteClient::new(channel.clone());
    client.find(Point { x: 1, y: 0 }).await.expect("a point");
    let tasks = runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();

    let mut callers = JoinSet::new();
    for seed in 0..CALLERS {
        callers.spawn(give_up(client.clone(), seed as u64, calls / CALLERS, bits));
    }
    let mut ended = 0;
    while let Some(result) = callers.join_next().await {
        ended += result.expect("no answer is another's");
    }
    assert!(
        ended > calls / 20 && ended < calls / 2,
        "{ended} of {calls} ended"
    );

    until("a channel, or credit, was not given back", || {
        let usage = channel.usage();
        (usage.calls, usage.abandoned, usage.lent) == (0, 0, 0)
    })
    .await;
    assert_eq!(channel.usage().connections, 1);
    until("a handler did not end", || {
        running.load(Ordering::SeqCst) == 0
    })
    .await;
    until("a permit was not given back", || load.handlers() == 0).await;
    until("bytes are still held", || load.held() == 0).await;
    until("a task is left", || tasks.num_alive_tasks() <= before).await;

    // All channels and all places serve again, at the same time.
    let mut callers = JoinSet::new();
    for x in 0..CHANNELS as i32 - 1 {
        let client = client.clone();
        callers.spawn(async move {
            let found = client.find(Point { x, y: -7 }).await.expect("a point");
            assert_eq!(found.into_inner(), Point { x, y: -7 });
        });
    }
    let all = timeout(FOR_EVER, callers.join_all());
    assert_eq!(
        all.await.expect("a place for each").len(),
        CHANNELS as usize - 1
    );
    serving.abort();
}

#[test]
fn nothing_is_left_of_calls_given_up_on_one_thread() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .expect("a runtime")
        .block_on(nothing_is_left("one", 100_000, 7));
}

#[test]
fn nothing_is_left_of_calls_given_up_on_several_threads() {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    runtime
        .expect("a runtime")
        .block_on(nothing_is_left("several", 100_000, 9));
}
