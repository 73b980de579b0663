use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::channels::Connection;
use super::counters::Statistics;
use super::socket::{lookup, socket};
use super::url::Url;

/// What a handler is called with: once for every frame of a request.
#[derive(Debug, Clone)]
pub struct Call {
    /// Path and query as the first frame had them.
    pub url: Url,
    /// What has arrived of the request until now.
    pub data: Vec<u8>,
    /// Whether that is all of it.
    pub completed: bool,
}

/// What a handler makes of a call: data, which may be empty, or the text of its failure.
pub(super) type Answer = Result<Vec<u8>, String>;

type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What a path does, and its statistics.
pub(super) struct Route {
    pub(super) handle: Box<dyn Fn(Call) -> Answering + Send + Sync>,
    pub(super) statistics: Statistics,
}

/// What a test may want to know of the clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Connections accepted.
    pub connections: usize,
    /// Most requests on one channel, other than channel 0, of which none was answered.
    pub most_on_channel: usize,
    /// Most requests on one connection of which none was answered.
    pub most_on_connection: usize,
    /// Frames of requests that had several.
    pub partial_frames: usize,
    /// Calls by path, as it was sent.
    pub calls: BTreeMap<String, usize>,
    /// Answers that found the queue to the socket full for a second, and were lost.
    pub lost: usize,
    /// Why each connection ended that has.
    pub ends: Vec<String>,
}

pub(super) struct Shared {
    pub(super) routes: HashMap<Vec<u8>, Route>,
    pub(super) channel_limit: usize,
    pub(super) statistics: Statistics,
    pub(super) started: Instant,
    pub(super) connections: Mutex<BTreeMap<String, Arc<Connection>>>,
    pub(super) observed: Mutex<Observed>,
    accepted: AtomicUsize,
}

/// The server.
///
/// ```
/// use iip_tests::reference::Server;
///
/// let server = Server::new()
///     .handle("/echo", |call| async move { Ok(call.data) })
///     .handle("/boom", |_| async { Err("boom".into()) });
/// ```
#[derive(Clone)]
pub struct Server {
    pub(super) shared: Arc<Shared>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// A server with the `/sys` paths only.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                routes: HashMap::new(),
                channel_limit: usize::MAX,
                statistics: Statistics::default(),
                started: Instant::now(),
                connections: Mutex::default(),
                observed: Mutex::default(),
                accepted: AtomicUsize::new(0),
            }),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }

    /// Registers a handler, before the first connection.
    #[must_use]
    pub fn handle<F, A>(self, path: &str, handler: F) -> Self
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Vec<u8>, String>> + Send + 'static,
    {
        let route = Route {
            handle: Box::new(move |call| Box::pin(handler(call))),
            statistics: Statistics::default(),
        };
        self.change(|shared| {
            shared.routes.insert(path.into(), route);
        })
    }

    /// Refuses channels beyond so many of a connection with code 106. The reference defines the code and has the
    /// setting, but does not use them.
    #[must_use]
    pub fn channel_limit(self, channels: usize) -> Self {
        self.change(|shared| shared.channel_limit = channels)
    }

    /// Serves one connection until it ends: why it did.
    pub async fn serve_connection(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> String {
        let number = self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        self.serve_named(io, format!("connection {number}")).await
    }

    async fn serve_named(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + 'static,
        name: String,
    ) -> String {
        let (connection, frames) = Connection::new(Arc::clone(&self.shared));
        lock(&self.shared.connections).insert(name.clone(), Arc::clone(&connection));
        lock(&self.shared.observed).connections += 1;
        let why = Arc::clone(&connection).run(io, frames).await;
        lock(&self.shared.connections).remove(&name);
        let mut observed = lock(&self.shared.observed);
        observed.lost += connection.lost();
        observed.ends.push(why.clone());
        why
    }

    /// Listens on a TCP address, for [`serve`](Self::serve).
    ///
    /// # Errors
    ///
    /// The address is none, or in use.
    pub async fn listen(address: &str) -> io::Result<TcpListener> {
        let address = lookup(address).await?;
        let socket = socket(address)?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1024)
    }

    /// Serves every connection of a listener, until the future is dropped.
    pub async fn serve(&self, listener: TcpListener) {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, peer)) = listener.accept().await {
            let server = self.clone();
            connections.spawn(async move {
                server.serve_named(stream, peer.to_string()).await;
            });
        }
    }

    /// What clients have done until now.
    pub fn observed(&self) -> Observed {
        lock(&self.shared.observed).clone()
    }
}
