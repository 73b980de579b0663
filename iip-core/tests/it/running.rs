//! Servers that run beside a test, and what tests wait for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use iip_core::client::{Client, ClientBuilder};
use iip_core::server::{Handler, Incoming, Report, Server, ServerBuilder, handler_fn};
use iip_core::transport::PeerAddr;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Longer than any test takes on the slowest machine: what waits for longer waits for ever.
const FOREVER: Duration = Duration::from_secs(60);

/// Awaits what has to come. Fails, instead of hanging, if it does not.
pub(crate) async fn limited<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(FOREVER, what).await {
        Ok(value) => value,
        Err(_) => panic!("this never ends"),
    }
}

/// Waits until something that happens elsewhere is true.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(FOREVER, wait).await.is_err() {
        panic!("{what}: never");
    }
}

/// Awaits all of them at once, in one task.
pub(crate) async fn join_all<T>(
    futures: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    poll_fn(|cx| {
        let mut done = true;
        for (future, result) in &mut futures {
            if result.is_none() {
                match Pin::new(future).poll(cx) {
                    Poll::Ready(value) => *result = Some(value),
                    Poll::Pending => done = false,
                }
            }
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let results = futures.into_iter().map(|(_, result)| result);
    results.map(|result| result.expect("a result")).collect()
}

/// A server on a free port, and what stops it.
pub(crate) struct Running {
    pub(crate) address: String,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Report>,
}

impl Running {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        Self::start_on(builder, "127.0.0.1:0").await
    }

    pub(crate) async fn start_on(builder: ServerBuilder, address: &str) -> Self {
        Self::start_with_grace(builder, address, FOREVER).await
    }

    pub(crate) async fn start_with_grace(
        builder: ServerBuilder,
        address: &str,
        grace: Duration,
    ) -> Self {
        let server = builder.bind(address).await.expect("an address");
        let address = server.local_addr().expect("an address").to_string();
        let (stop, stopped) = oneshot::channel();
        let signal = async {
            let _ = stopped.await;
        };
        let done = tokio::spawn(server.serve_with_shutdown(signal, grace));
        Self {
            address,
            stop,
            done,
        }
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(self.address.parse().expect("an address"))
    }

    pub(crate) async fn client(&self) -> Client {
        self.builder().connect().await.expect("a connection")
    }

    pub(crate) async fn plain_client(&self) -> Client {
        let builder = self.builder().plain();
        builder.connect().await.expect("a connection")
    }

    /// Begins to stop.
    pub(crate) fn signal(self) -> JoinHandle<Report> {
        self.stop.send(()).expect("a running server");
        self.done
    }

    pub(crate) async fn stop(self) -> Report {
        limited(self.signal()).await.expect("a report")
    }

    /// Drops the serving future.
    pub(crate) async fn kill(self) {
        self.done.abort();
        let _ = self.done.await;
    }
}

pub(crate) fn echo() -> ServerBuilder {
    Server::builder().handler("/echo", echo_handler())
}

pub(crate) fn echo_handler() -> impl Handler {
    handler_fn(|request: Incoming| async { Ok(request.into_data()) })
}

/// Holds calls back until they are let go, and then echoes them.
#[derive(Clone)]
pub(crate) struct Gate {
    pass: Arc<Semaphore>,
    entered: mpsc::UnboundedSender<PeerAddr>,
    arrivals: Arc<Mutex<mpsc::UnboundedReceiver<PeerAddr>>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let (entered, arrivals) = mpsc::unbounded_channel();
        Self {
            pass: Arc::new(Semaphore::new(0)),
            entered,
            arrivals: Arc::new(Mutex::new(arrivals)),
        }
    }

    pub(crate) fn handler(&self) -> impl Handler {
        let gate = self.clone();
        handler_fn(move |request: Incoming| {
            let gate = gate.clone();
            async move {
                let _ = gate.entered.send(request.peer().address.clone());
                gate.pass.acquire().await.expect("a gate").forget();
                Ok(request.into_data())
            }
        })
    }

    /// Waits until one more call is inside; its client.
    pub(crate) async fn entered(&self) -> PeerAddr {
        let mut arrivals = self.arrivals.lock().await;
        limited(arrivals.recv()).await.expect("a call")
    }

    /// Waits until so many more calls are inside.
    pub(crate) async fn entered_by(&self, count: usize) -> Vec<PeerAddr> {
        let mut peers = Vec::new();
        for _ in 0..count {
            peers.push(self.entered().await);
        }
        peers
    }

    /// Handlers that are there, inside or not.
    pub(crate) fn handlers(&self) -> usize {
        // One belongs to the test, and one to the server's route.
        Arc::strong_count(&self.pass).saturating_sub(2)
    }

    /// Lets so many calls go.
    pub(crate) fn release(&self, count: usize) {
        self.pass.add_permits(count);
    }
}

/// An echo server with a `/held` path.
pub(crate) fn gated() -> (ServerBuilder, Gate) {
    let gate = Gate::new();
    (echo().handler("/held", gate.handler()), gate)
}

/// A call of a client in a task of its own.
pub(crate) fn spawn_call(
    client: &Client,
    path: &'static str,
    data: &'static str,
) -> JoinHandle<Result<Bytes, iip_core::Error>> {
    let client = client.clone();
    tokio::spawn(async move { client.call(path, data).await })
}
