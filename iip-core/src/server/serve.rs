use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use super::connections::Connections;
use super::listener::Listener;
use super::server_handle::{Phase, Report, ServerHandle};
use super::statistics::Statistics;
use crate::conn::now;
use crate::session::LONGEST;
use crate::transport::Address;

/// How long connections may take to end once the grace is over.
const HARD_STOP: Duration = Duration::from_secs(5);

/// A server that is bound and not yet serving.
pub struct Server {
    listeners: Vec<Listener>,
    connections: Arc<Connections>,
    pre_stop: Duration,
    presence: Presence,
}

/// Says so when the server is gone.
struct Presence(ServerHandle);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.end(Phase::Gone);
    }
}

impl Server {
    pub(super) fn new(
        listeners: Vec<Listener>,
        connections: Arc<Connections>,
        pre_stop: Duration,
    ) -> Self {
        Self {
            listeners,
            connections,
            pre_stop,
            presence: Presence(ServerHandle::new()),
        }
    }

    /// What stops the server from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        self.presence.0.clone()
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

    /// A view of what the server does and did, which tells the present also while it serves, and afterwards.
    pub fn statistics(&self) -> Statistics {
        Statistics::new(Arc::clone(&self.connections))
    }

    /// Serves until the future is dropped, or the server is stopped through its [`handle`](Self::handle).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listeners and every connection at once. Use
    /// [`serve_with_shutdown`](Self::serve_with_shutdown) to stop without losing a call.
    pub async fn serve(self) {
        self.serve_with_shutdown(pending(), Duration::ZERO).await;
    }

    /// Serves until `signal` is ready, or [`handle`](Self::handle) says so, and then stops without losing a call
    /// (`docs/protocol.md`, section 9.4):
    ///
    /// 1. [`ServerHandle::is_ready`] turns false; for [`pre_stop`](super::ServerBuilder::pre_stop) all goes on as before.
    /// 2. The listeners are closed, after what waits in their queues was accepted; an inherited one is left to the next
    ///    server with all that waits.
    /// 3. Native clients are told to place their calls elsewhere. Every request that arrives is still answered, and each
    ///    connection ends when nothing is in flight on it and its client knows. One of a plain client, which cannot be
    ///    told, ends when it was quiet for 100 ms and four round trips.
    /// 4. 2 s before `grace` is over, or at half of it if that is later, streams of messages that still run are ended.
    /// 5. When `grace` is over, handlers that still run are stopped and their calls answered with an error; requests that
    ///    still arrive are refused, so that their clients know that they did not run.
    /// 6. Each connection is flushed, its sending side closed, and read for up to 2 s. What is still open 5 s after the
    ///    grace is closed without another word.
    ///
    /// # Cancel safety
    ///
    /// As for [`serve`](Self::serve).
    pub async fn serve_with_shutdown(
        self,
        signal: impl Future<Output = ()>,
        grace: Duration,
    ) -> Report {
        let Self {
            listeners,
            connections,
            pre_stop,
            presence,
        } = self;
        let (stop, stopped) = watch::channel(false);
        let mut phase = presence.0.subscribe();
        let accepting = listeners
            .into_iter()
            .map(|listener| {
                tokio::spawn(accept(listener, Arc::clone(&connections), stopped.clone()))
            })
            .collect();
        let mut guard = Guard {
            connections,
            accepting,
            presence,
        };
        drop(stopped);
        either(
            signal,
            phase.wait_for(|phase| !matches!(phase, Phase::Serving)),
        )
        .await;
        guard.presence.0.drain_unless_stopping(grace);
        let told = now();
        // From here on a change means that the server was told once more.
        let grace = grace_of(&mut phase);
        if !pre_stop.is_zero() {
            either(sleep(pre_stop), changed(&mut phase)).await;
        }
        let grace = grace.min(grace_of(&mut phase));
        let _ = stop.send(true);
        for task in std::mem::take(&mut guard.accepting) {
            let _ = task.await;
        }
        let connections = &guard.connections;
        connections.drain(grace);
        let mut ends = now() + grace;
        loop {
            let over = either(
                connections.all_ended(),
                sleep_until((ends + HARD_STOP).into()),
            );
            match either(over, changed(&mut phase)).await {
                First::Left => break,
                First::Right => {
                    let grace = grace_of(&mut phase);
                    ends = ends.min(now() + grace);
                    connections.drain(grace);
                }
            }
        }
        let core = &connections.core;
        let report = Report {
            cut_calls: core.cut_calls.load(Ordering::Relaxed),
            cut_streams: core.cut_streams.load(Ordering::Relaxed),
            cut_connections: connections.count(),
            took: now().saturating_duration_since(told),
        };
        guard.presence.0.end(Phase::Stopped(report.clone()));
        report
    }
}

/// Ends what was spawned when the serving future is dropped.
struct Guard {
    connections: Arc<Connections>,
    accepting: Vec<JoinHandle<()>>,
    presence: Presence,
}

impl Drop for Guard {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
        self.connections.abort();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Left,
    Right,
}

/// Which of two is ready first.
async fn either(left: impl Future, right: impl Future) -> First {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if left.as_mut().poll(cx).is_ready() {
            return Poll::Ready(First::Left);
        }
        right.as_mut().poll(cx).map(|_| First::Right)
    })
    .await
}

/// Waits until the server is told something new.
async fn changed(phase: &mut watch::Receiver<Phase>) {
    if phase.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// The grace that the server was told last.
fn grace_of(phase: &mut watch::Receiver<Phase>) -> Duration {
    match *phase.borrow_and_update() {
        Phase::Stopping { grace } => grace.min(LONGEST),
        _ => Duration::ZERO,
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
    if !listener.closes() {
        // Who waits there is the next server's.
        return;
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
