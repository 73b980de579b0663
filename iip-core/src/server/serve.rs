use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::admission::AdmissionStats;
use super::connections::Connections;
use super::listener::Listener;
use crate::transport::Address;

/// How long the answers to calls that were cut may take to go out.
const HARD_STOP: Duration = Duration::from_secs(5);

/// A server that is bound and not yet serving.
pub struct Server {
    listeners: Vec<Listener>,
    connections: Arc<Connections>,
}

/// How a server stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Calls that were still running when the grace was over; their clients were told. 0 is what one wants.
    pub cut_calls: usize,
    /// Connections that did not end even then, and were closed without another word.
    pub cut_connections: usize,
}

/// What the calls of a server hold. Each number is of the moment; all are 0 when no call is in progress, also none whose
/// caller has given it up and whose handler has not ended yet.
#[derive(Clone)]
pub struct Load {
    connections: Arc<Connections>,
}

impl Load {
    /// Handlers that have not ended, those apart which ended at their first poll.
    pub fn handlers(&self) -> usize {
        self.connections.core.running.load(Ordering::Relaxed)
    }

    /// Bytes held in unfinished and queued messages, and in those that handlers have not taken.
    pub fn held(&self) -> usize {
        self.connections.core.held.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("handlers", &self.handlers())
            .field("held", &self.held())
            .finish()
    }
}

impl Server {
    pub(super) fn new(listeners: Vec<Listener>, connections: Arc<Connections>) -> Self {
        Self {
            listeners,
            connections,
        }
    }

    /// The address listened on, with the port the system chose where it was 0. Of several listeners, the one added
    /// last. `None` for a listener without an address.
    pub fn local_addr(&self) -> Option<&Address> {
        self.listeners.last().and_then(Listener::local_addr)
    }

    /// The addresses of all listeners that have one.
    pub fn local_addrs(&self) -> impl Iterator<Item = &Address> {
        self.listeners.iter().filter_map(Listener::local_addr)
    }

    /// How many connections there are and were refused.
    pub fn stats(&self) -> AdmissionStats {
        self.connections.admission.stats()
    }

    /// A view of what the calls of all connections hold, which tells the present while the server serves.
    pub fn load(&self) -> Load {
        Load {
            connections: Arc::clone(&self.connections),
        }
    }

    /// Serves until the future is dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listeners and every connection at once. Use
    /// [`serve_with_shutdown`](Self::serve_with_shutdown) to stop without losing a call.
    pub async fn serve(self) {
        self.serve_with_shutdown(pending(), Duration::ZERO).await;
    }

    /// Serves until `signal` is ready, and then stops without losing a call: closes the listeners, tells clients to
    /// place their calls elsewhere, answers every request that was accepted, and closes each connection when nothing
    /// is in flight on it. Calls that still run after `grace` are answered with an error; nothing is waited for longer
    /// than `grace` and 5 s.
    ///
    /// # Cancel safety
    ///
    /// As for [`serve`](Self::serve).
    pub async fn serve_with_shutdown(
        self,
        signal: impl Future<Output = ()>,
        grace: Duration,
    ) -> Report {
        let connections = self.connections;
        let (stop, stopped) = watch::channel(false);
        let accepting = self
            .listeners
            .into_iter()
            .map(|listener| {
                tokio::spawn(accept(listener, Arc::clone(&connections), stopped.clone()))
            })
            .collect();
        let mut guard = Guard {
            connections,
            accepting,
        };
        drop(stopped);
        signal.await;
        let _ = stop.send(true);
        for task in std::mem::take(&mut guard.accepting) {
            let _ = task.await;
        }
        let connections = &guard.connections;
        connections.drain();
        if timeout(grace, connections.all_ended()).await.is_err() {
            connections.cut();
            let _ = timeout(HARD_STOP, connections.all_ended()).await;
        }
        Report {
            cut_calls: connections.core.cut.load(Ordering::Relaxed),
            cut_connections: connections.count(),
        }
    }
}

/// Ends what was spawned when the serving future is dropped.
struct Guard {
    connections: Arc<Connections>,
    accepting: Vec<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
        self.connections.abort();
    }
}

async fn accept(
    mut listener: Listener,
    connections: Arc<Connections>,
    stopped: watch::Receiver<bool>,
) {
    let mut stop = pin!(wait_for_stop(stopped));
    loop {
        let accepted = {
            let mut next = pin!(listener.accept());
            poll_fn(|cx| {
                if stop.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                next.as_mut().poll(cx).map(Some)
            })
            .await
        };
        let Some((stream, peer)) = accepted else {
            break;
        };
        connections.accept(stream, peer);
    }
    // The kernel has told these clients that they are connected.
    while let Some((stream, peer)) = listener.accept_waiting().await {
        connections.accept(stream, peer);
    }
}

async fn wait_for_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the serving future is gone, and this task with it.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
