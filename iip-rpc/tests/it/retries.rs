//! Calls that are made again, over connections in virtual time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iip_rpc::client::{CircuitBreaker, Hedge, Retry, Throttle};
use iip_rpc::codegen::{
    Idempotency, MethodDescriptor, MethodKind, Methods, NamedService, client_streaming,
    server_streaming, unary,
};
use iip_rpc::layer::{Next, interceptor};
use iip_rpc::{
    Body, Channel, Code, Outcome, Request, Response, RpcService, Sender, Server, Status, Streaming,
};
use tokio::time::{Instant, sleep, timeout};

macro_rules! method {
    ($name:ident, $path:literal, $kind:ident, $idempotency:ident) => {
        pub(crate) static $name: MethodDescriptor =
            MethodDescriptor::new($path, MethodKind::$kind, Idempotency::$idempotency);
    };
}

method!(PLAIN, "/test.Retries/Plain", Unary, Unknown);
method!(AGAIN, "/test.Retries/Again", Unary, Idempotent);
method!(READ, "/test.Retries/Read", Unary, NoSideEffects);
method!(LIST, "/test.Retries/List", ServerStreaming, NoSideEffects);
method!(WRITE, "/test.Retries/Write", ClientStreaming, NoSideEffects);

const MILLISECOND: Duration = Duration::from_millis(1);

/// What a handler does.
pub(crate) enum Act {
    Fail(Status),
    /// It fails after this time.
    Late(Duration, Status),
    /// It answers after this time.
    Wait(Duration),
    /// It never answers.
    Hang,
}

/// What the test tells the handlers, and they the test.
#[derive(Default)]
pub(crate) struct Seen {
    /// For one run each; after them, and without any, the message comes back.
    acts: Mutex<VecDeque<Act>>,
    /// For each run: the number it was given, and the time it was given.
    runs: Mutex<Vec<(Option<String>, Option<Duration>)>>,
    /// Handlers in progress.
    running: AtomicUsize,
    /// Calls that are still to be refused before their handler.
    refusals: AtomicUsize,
    /// Calls that came, refused ones included.
    arrived: AtomicUsize,
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seen {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Arc<Self> {
        Arc::new(Self {
            acts: Mutex::new(acts.into_iter().collect()),
            ..Self::default()
        })
    }

    /// What comes next instead of what was to come.
    pub(crate) fn push(&self, acts: impl IntoIterator<Item = Act>) {
        *self.acts.lock().unwrap() = acts.into_iter().collect();
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.lock().unwrap().len()
    }

    fn numbers(&self) -> Vec<Option<String>> {
        let runs = self.runs.lock().unwrap();
        runs.iter().map(|run| run.0.clone()).collect()
    }

    /// What remained of each run's time, milliseconds.
    fn times_left(&self) -> Vec<u128> {
        let runs = self.runs.lock().unwrap();
        runs.iter().map(|run| run.1.unwrap().as_millis()).collect()
    }

    /// Notes a run, and does what comes next.
    fn act<T>(
        self: &Arc<Self>,
        request: &Request<T>,
    ) -> impl Future<Output = Result<(), Status>> + use<T> {
        let number = request.metadata().get("iip-previous-attempts");
        let now = Instant::now().into_std();
        let left = request.deadline().map(|deadline| deadline - now);
        self.runs
            .lock()
            .unwrap()
            .push((number.map(str::to_owned), left));
        let seen = Arc::clone(self);
        async move {
            seen.running.fetch_add(1, Ordering::Relaxed);
            let _running = Running(&seen.running);
            let act = seen.acts.lock().unwrap().pop_front();
            match act {
                None => Ok(()),
                Some(Act::Fail(status)) => Err(status),
                Some(Act::Late(time, status)) => {
                    sleep(time).await;
                    Err(status)
                }
                Some(Act::Wait(time)) => {
                    sleep(time).await;
                    Ok(())
                }
                Some(Act::Hang) => std::future::pending().await,
            }
        }
    }
}

#[derive(Clone)]
struct Service(Methods);

impl NamedService for Service {
    const NAME: &'static str = "test.Retries";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

impl Service {
    fn new(seen: &Arc<Seen>) -> Self {
        let echo = || {
            let seen = Arc::clone(seen);
            move |request: Request<String>| {
                let seen = Arc::clone(&seen);
                async move {
                    seen.act(&request).await?;
                    Ok(Response::new(request.into_inner()))
                }
            }
        };
        let (listed, written) = (Arc::clone(seen), Arc::clone(seen));
        let list = move |request: Request<String>, out: Sender<String>| {
            let seen = Arc::clone(&listed);
            async move {
                let first = request.get_ref() == "first";
                if first {
                    out.send("first".to_owned()).await?;
                }
                seen.act(&request).await?;
                out.send(request.into_inner()).await
            }
        };
        let write = move |request: Request<Streaming<String>>| {
            let seen = Arc::clone(&written);
            async move {
                seen.act(&request).await?;
                Ok(Response::new("written".to_owned()))
            }
        };
        let methods = Methods::builder("test.Retries")
            .unary(&PLAIN, echo())
            .unary(&AGAIN, echo())
            .unary(&READ, echo())
            .server_streaming(&LIST, list)
            .client_streaming(&WRITE, write);
        Self(methods.build())
    }
}

pub(crate) fn server(seen: &Arc<Seen>) -> iip_rpc::server::ServerBuilder {
    let gate = Arc::clone(seen);
    Server::builder()
        .add_service(Service::new(seen))
        .layer(interceptor(move |request: Request<Body>, next: Next| {
            let seen = Arc::clone(&gate);
            async move {
                seen.arrived.fetch_add(1, Ordering::Relaxed);
                let left = seen.refusals.load(Ordering::Relaxed);
                if left > 0 {
                    seen.refusals.store(left - 1, Ordering::Relaxed);
                    return Err(Status::unavailable("busy").with_outcome(Outcome::NotProcessed));
                }
                next.run(request).await
            }
        }))
}

/// Serves inside this process; returns the address.
pub(crate) async fn serve(seen: &Arc<Seen>) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let server = server(seen).bind(format!("memory://retries-{name}")).await;
    let server = server.unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    address
}

/// A server with handlers that do this, and a channel to it with the default settings.
async fn default_channel(acts: impl IntoIterator<Item = Act>) -> (Arc<Seen>, Channel) {
    let seen = Seen::new(acts);
    let address = serve(&seen).await;
    (seen, Channel::connect(address).await.unwrap())
}

pub(crate) async fn call(
    channel: &impl RpcService,
    method: &'static MethodDescriptor,
) -> Result<String, Status> {
    let reply = unary(channel, method, Request::new("hi".to_owned())).await;
    reply.map(Response::into_inner)
}

fn down() -> Act {
    Act::Fail(Status::unavailable("down"))
}

#[tokio::test(start_paused = true)]
async fn methods_that_are_marked_are_made_again() {
    for (method, runs) in [(&PLAIN, 1), (&AGAIN, 3), (&READ, 3)] {
        let (seen, channel) = default_channel([down(), down()]).await;
        assert_eq!(call(&channel, method).await.is_ok(), runs == 3);
        let numbers = [None, Some("1".to_owned()), Some("2".to_owned())];
        assert_eq!(seen.numbers(), numbers[..runs]);
    }
    let (seen, channel) = default_channel((0..5).map(|_| down())).await;
    let status = call(&channel, &AGAIN).await.unwrap_err();
    let endpoint = channel.endpoint();
    assert_eq!(
        status.to_string(),
        format!(
            "UNAVAILABLE: down (endpoint: {endpoint}, attempt: 3 of 3); \
             before: UNAVAILABLE: down (endpoint: {endpoint}); \
             before: UNAVAILABLE: down (endpoint: {endpoint})"
        )
    );
    assert_eq!((seen.runs(), status.earlier_attempts().len()), (3, 2));
    assert_eq!((status.attempts(), status.outcome()), (3, None));
}

/// What methods do when they lose against another call is no harm only where they have no effects.
#[tokio::test(start_paused = true)]
async fn codes_say_whether_it_makes_sense() {
    for (code, again, read) in [
        (Code::Unavailable, 2, 2),
        (Code::Aborted, 1, 2),
        (Code::ResourceExhausted, 1, 1),
        (Code::DeadlineExceeded, 1, 1),
        (Code::Cancelled, 1, 1),
        (Code::NotFound, 1, 1),
        (Code::Internal, 1, 1),
    ] {
        for (method, runs) in [(&AGAIN, again), (&READ, read)] {
            let (seen, channel) = default_channel([Act::Fail(code.into())]).await;
            assert_eq!(call(&channel, method).await.is_ok(), runs == 2, "{code:?}");
            assert_eq!(seen.runs(), runs, "{code:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_caller_has_the_last_word() {
    let marked = || Request::new("hi".to_owned()).with_idempotency(Idempotency::Idempotent);
    let unmarked = || Request::new("hi".to_owned()).with_idempotency(Idempotency::Unknown);
    let acts = || (0..4).map(|_| down());
    let (seen, channel) = default_channel(acts()).await;
    let ended: Result<Response<String>, _> = unary(&channel, &PLAIN, marked()).await;
    assert_eq!(ended.unwrap_err().attempts(), 3);
    let ended: Result<Response<String>, _> = unary(&channel, &READ, unmarked()).await;
    assert_eq!(ended.unwrap_err().attempts(), 1);
    assert_eq!(seen.runs(), 4);

    let seen = Seen::new(acts());
    let address = serve(&seen).await;
    let builder = Channel::builder(&address)
        .idempotency("/test.Retries/Read", Idempotency::Idempotent)
        .idempotency("/test.Retries/Read", Idempotency::Unknown)
        .idempotency("/test.Retries/Plain", Idempotency::Idempotent);
    let channel = builder.connect().await.unwrap();
    assert_eq!(call(&channel, &READ).await.unwrap_err().attempts(), 1);
    assert_eq!(call(&channel, &PLAIN).await.unwrap_err().attempts(), 3);

    let seen = Seen::new(acts());
    let builder = Channel::builder(serve(&seen).await).retry(Retry::off());
    let channel = builder.connect().await.unwrap();
    assert_eq!(call(&channel, &READ).await.unwrap_err().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_is_made_again_once_and_then_by_the_policy() {
    for (method, refusals, runs) in [(&PLAIN, 1, 1), (&PLAIN, 2, 0), (&READ, 3, 1), (&READ, 4, 0)] {
        let (seen, channel) = default_channel([]).await;
        seen.refusals.store(refusals, Ordering::Relaxed);
        let result = call(&channel, method).await;
        assert_eq!(seen.runs(), runs, "{refusals}: {result:?}");
        assert_eq!(result.is_ok(), runs == 1);
        assert_eq!(seen.arrived.load(Ordering::Relaxed), refusals + runs);
        if let Err(status) = result {
            assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_says_when() {
    let later = Status::unavailable("down").with_retry_after(300 * MILLISECOND);
    let (_seen, channel) = default_channel([Act::Fail(later)]).await;
    let start = Instant::now();
    assert!(call(&channel, &READ).await.is_ok());
    assert!((300..302).contains(&start.elapsed().as_millis()));

    let never = Status::unavailable("down").with_no_retry();
    let (_seen, channel) = default_channel([Act::Fail(never)]).await;
    assert_eq!(call(&channel, &READ).await.unwrap_err().attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_calls_deadline() {
    let later = Status::unavailable("down").with_retry_after(300 * MILLISECOND);
    let acts = (0..3).map(|_| Act::Fail(later.clone()));
    let (_seen, channel) = default_channel(acts).await;
    let start = Instant::now();
    let request = Request::new("hi".to_owned()).with_timeout(400 * MILLISECOND);
    let ended: Result<Response<String>, _> = unary(&channel, &READ, request).await;
    let status = ended.unwrap_err();
    // There was no time for a third.
    assert_eq!((status.attempts(), status.code()), (2, Code::Unavailable));
    assert!(start.elapsed() <= 400 * MILLISECOND);
    assert!(
        status.to_string().contains("too little is left"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_a_time_of_its_own() {
    let seen = Seen::new([Act::Hang, Act::Hang, Act::Wait(5 * Duration::from_secs(1))]);
    let retry = Retry::safe()
        .attempt_timeout(100 * MILLISECOND)
        .backoff(Duration::ZERO, Duration::ZERO);
    let builder = Channel::builder(serve(&seen).await).retry(retry);
    let channel = builder.connect().await.unwrap();
    let start = Instant::now();
    assert!(call(&channel, &READ).await.is_ok());
    assert_eq!(start.elapsed().as_millis() / 100, 52);
    // The last attempt has all that is left.
    let left = seen.times_left();
    assert_eq!((left[0], left[1]), (100, 100));
    assert!(left[2] > 9700, "{left:?}");
    assert_eq!(seen.running.load(Ordering::Relaxed), 0);

    // A method that must not run twice has all of the call's time.
    seen.push([Act::Wait(5 * Duration::from_secs(1))]);
    assert!(call(&channel, &PLAIN).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_hedge_answers_for_a_handler_that_hangs() {
    let seen = Seen::new([Act::Hang]);
    let builder = Channel::builder(serve(&seen).await).hedge(Hedge::after(20 * MILLISECOND));
    let channel = builder.connect().await.unwrap();
    let start = Instant::now();
    assert!(call(&channel, &READ).await.is_ok());
    assert!((20..22).contains(&start.elapsed().as_millis()));
    assert_eq!(seen.numbers(), [None, Some("1".to_owned())]);
    // The server is told that nobody waits for the other one.
    sleep(MILLISECOND).await;
    assert_eq!(seen.running.load(Ordering::Relaxed), 0);
    assert_eq!(channel.usage().calls, 0);

    // Methods with effects are not hedged.
    for method in [&PLAIN, &AGAIN] {
        let start = Instant::now();
        seen.push([Act::Wait(100 * MILLISECOND)]);
        assert!(call(&channel, method).await.is_ok());
        assert!(start.elapsed() >= 100 * MILLISECOND);
    }
    assert_eq!(seen.runs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_has_begun_is_not_made_again() {
    let list = async |channel: &Channel, message: &str| {
        let request = Request::new(message.to_owned());
        let stream = server_streaming::<_, _, String>(channel, &LIST, request).await?;
        let mut stream = stream.into_inner();
        let mut got = Vec::new();
        while let Some(message) = stream.message().await? {
            got.push(message);
        }
        Ok::<_, Status>(got)
    };
    let (seen, channel) = default_channel([down(), down()]).await;
    assert_eq!(list(&channel, "x").await.unwrap(), ["x"]);
    assert_eq!(seen.runs(), 3);

    let (seen, channel) = default_channel([down(), down()]).await;
    let status = list(&channel, "first").await.unwrap_err();
    assert_eq!((status.code(), seen.runs()), (Code::Unavailable, 1));

    // A stream of requests is gone once it was taken.
    let (seen, channel) = default_channel([down(), down()]).await;
    let request = Request::new(());
    let (sender, reply) = client_streaming::<_, String, String>(&channel, &WRITE, request)
        .await
        .unwrap();
    sender.finish().await.unwrap();
    let status = reply.await.unwrap_err();
    assert_eq!((status.code(), seen.runs()), (Code::Unavailable, 1));

    // The time of an attempt is that until the response begins.
    let seen = Seen::new([Act::Hang]);
    let retry = Retry::safe().attempt_timeout(100 * MILLISECOND);
    let builder = Channel::builder(serve(&seen).await).retry(retry);
    let channel = builder.connect().await.unwrap();
    assert_eq!(list(&channel, "x").await.unwrap(), ["x"]);
    seen.push([Act::Wait(Duration::from_secs(60))]);
    assert_eq!(list(&channel, "first").await.unwrap(), ["first", "first"]);
}

/// Everything fails, and every method may be made again: that adds next to nothing to the load.
#[tokio::test(start_paused = true)]
async fn failures_do_not_make_a_storm() {
    const CALLS: usize = 2000;
    for refused in [false, true] {
        let (seen, channel) = default_channel([]).await;
        if refused {
            seen.refusals.store(usize::MAX, Ordering::Relaxed);
        } else {
            let mut acts = seen.acts.lock().unwrap();
            acts.extend((0..3 * CALLS).map(|_| down()));
        }
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                let channel = channel.clone();
                tokio::spawn(async move {
                    sleep(number as u32 * MILLISECOND).await;
                    call(&channel, &READ).await.unwrap_err()
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        let arrived = seen.arrived.load(Ordering::Relaxed);
        assert!(arrived >= CALLS && arrived * 10 <= CALLS * 11, "{arrived}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_breaker_bounds_what_hangs() {
    let seen = Seen::new((0..3).map(|_| Act::Hang));
    let address = serve(&seen).await;
    let breaker = CircuitBreaker::new().max_calls(2);
    let builder = Channel::builder(&address).circuit_breaker(breaker);
    let channel = builder.connect().await.unwrap();
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { call(&channel, &PLAIN).await })
        })
        .collect();
    sleep(MILLISECOND).await;
    let status = call(&channel, &READ).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert_eq!(status.endpoint(), Some(&*address));
    assert!(
        status.message().contains("circuit_breaker, max_calls"),
        "{status}"
    );
    for call in hanging {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    // A stream counts until it is dropped, here of requests and of responses.
    let request = || Request::new("first".to_owned());
    let _one = server_streaming::<_, _, String>(&channel, &LIST, request()).await;
    let two = client_streaming::<_, String, String>(&channel, &WRITE, Request::new(())).await;
    assert!(call(&channel, &READ).await.is_err());
    drop(two);
    seen.push([]);
    assert!(call(&channel, &READ).await.is_ok());

    let breaker = CircuitBreaker::new().max_pending(1);
    let waiting = Channel::builder("memory://retries-nobody")
        .wait_for_ready()
        .circuit_breaker(breaker)
        .connect_lazy()
        .unwrap();
    let first = waiting.clone();
    let first = tokio::spawn(async move { call(&first, &PLAIN).await });
    sleep(MILLISECOND).await;
    let status = call(&waiting, &PLAIN).await.unwrap_err();
    assert!(
        status.message().contains("circuit_breaker, max_pending"),
        "{status}"
    );
    let status = first.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_keeps_calls_from_servers_that_refuse_them() {
    let seen = Seen::new((0..1000).map(|_| down()));
    let builder = Channel::builder(serve(&seen).await).throttle(Throttle::default());
    let channel = builder.connect().await.unwrap();
    let mut here = 0;
    for _ in 0..500 {
        let status = call(&channel, &PLAIN).await.unwrap_err();
        if status.outcome() == Some(Outcome::NotSent) {
            assert!(status.message().contains("setting: throttle"), "{status}");
            here += 1;
        }
    }
    // The sum of 1/(n+1) for n from 0 to 499 is about 6.8, and varies by 2.3: the bound is far off.
    assert_eq!(seen.runs() + here, 500);
    assert!((1..60).contains(&seen.runs()), "{}", seen.runs());
    // Two minutes later the servers are asked again.
    seen.push([]);
    sleep(Duration::from_secs(121)).await;
    for _ in 0..100 {
        assert!(call(&channel, &PLAIN).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_over() {
    let later = Status::unavailable("down").with_retry_after(1000 * MILLISECOND);
    let (seen, channel) = default_channel([Act::Fail(later)]).await;
    let call = call(&channel, &READ);
    assert!(timeout(100 * MILLISECOND, call).await.is_err());
    sleep(5000 * MILLISECOND).await;
    assert_eq!(seen.runs(), 1);
}
