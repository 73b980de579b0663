use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::addr::Address;

/// Bytes that each direction of a connection holds before its writer waits: as much as two frames
/// of the largest size between native peers, so that a writer and a reader can work at the same
/// time.
const PIPE_CAPACITY: usize = 64 * 1024;

/// Connections that wait to be accepted; one more waits in its `connect`. The same as the listen
/// queue's usual size.
const ACCEPT_QUEUE: usize = 128;

/// The listeners of this process by name, so that an [`Address`] can be dialed like any other.
static LISTENERS: Mutex<BTreeMap<Arc<str>, MemoryConnector>> = Mutex::new(BTreeMap::new());

/// Makes the names of listeners that were given none.
static NEXT_NAME: AtomicU64 = AtomicU64::new(1);

fn listeners() -> MutexGuard<'static, BTreeMap<Arc<str>, MemoryConnector>> {
    // Nothing panics while it holds the lock, and the map is whole after each single operation.
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts connections from inside this process: the whole stack without a socket, for tests and
/// for plug-ins.
///
/// At most 128 connections wait to be accepted. Dropping the listener frees its name and refuses
/// those that wait.
#[derive(Debug)]
pub struct MemoryListener {
    queue: mpsc::Receiver<DuplexStream>,
    connector: MemoryConnector,
}

/// Connects to one [`MemoryListener`]. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    queue: mpsc::Sender<DuplexStream>,
    name: Arc<str>,
}

/// A listener with a name of its own that no other has, and a connector to it.
pub fn listener() -> (MemoryListener, MemoryConnector) {
    loop {
        let name = format!("unnamed-{}", NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        // A user may have taken that very name.
        if let Some(listener) = MemoryListener::register(name.into()) {
            let connector = listener.connector();
            return (listener, connector);
        }
    }
}

impl MemoryListener {
    /// Listens on the address `memory://name`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the name is none that an [`Address`] can have; `AddrInUse` when a
    /// listener of this process has the name.
    pub fn bind(name: &str) -> io::Result<Self> {
        let address = Address::memory(name)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Self::register(name.into()).ok_or_else(|| {
            let text =
                format!("a listener of this process has the name {address}; choose another one");
            io::Error::new(io::ErrorKind::AddrInUse, text)
        })
    }

    fn register(name: Arc<str>) -> Option<Self> {
        let mut listeners = listeners();
        if listeners.contains_key(&name) {
            return None;
        }
        let (sender, queue) = mpsc::channel(ACCEPT_QUEUE);
        let connector = MemoryConnector {
            queue: sender,
            name: name.clone(),
        };
        listeners.insert(name, connector.clone());
        Some(Self { queue, connector })
    }

    /// A connector to this listener.
    pub fn connector(&self) -> MemoryConnector {
        self.connector.clone()
    }

    /// The address that connects to this listener.
    pub fn address(&self) -> Address {
        self.connector.address()
    }

    /// The next connection.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that was not returned stays in the queue.
    pub async fn accept(&mut self) -> DuplexStream {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<DuplexStream> {
        match self.queue.poll_recv(cx) {
            Poll::Ready(Some(stream)) => Poll::Ready(stream),
            // The listener holds a sender itself, so the queue never ends.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        listeners().remove(&self.connector.name);
    }
}

impl MemoryConnector {
    /// The address of the listener.
    pub fn address(&self) -> Address {
        Address::from_memory_name(self.name.clone())
    }

    /// Connects, waiting while the listener's queue is full.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` when the listener has been dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives up the place in the queue.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let refused = |_| {
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the in-memory listener has been dropped",
            )
        };
        let place = self.queue.reserve().await.map_err(refused)?;
        let (near, far) = duplex(PIPE_CAPACITY);
        place.send(far);
        Ok(near)
    }
}

/// Connects to the listener that has the name now.
pub(crate) async fn connect(name: &str) -> io::Result<DuplexStream> {
    let connector = listeners().get(name).cloned();
    match connector {
        Some(connector) => connector.connect().await,
        None => Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            "no in-memory listener of this process has that name; start the server first",
        )),
    }
}
