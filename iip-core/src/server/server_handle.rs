use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How a server stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Calls that were still running when the grace was over, streams of messages not counted; their clients were told.
    /// 0 is what one wants.
    pub cut_calls: usize,
    /// Streams of messages that were ended, shortly before the grace was over; their clients were told. Those that never
    /// end by themselves are always among them.
    pub cut_streams: usize,
    /// Connections that did not end even then, and were closed without another word. 0 is what one wants.
    pub cut_connections: usize,
    /// How long it took, from the moment the server was told to stop.
    pub took: Duration,
}

impl Report {
    /// Whether every call was answered by its handler and every connection ended in an orderly way. Streams do not count.
    pub fn is_clean(&self) -> bool {
        self.cut_calls == 0 && self.cut_connections == 0
    }
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Serving,
    Stopping {
        grace: Duration,
    },
    Stopped(Report),
    /// The server, or the future that served, was dropped.
    Gone,
}

/// Stops a server from elsewhere, and tells what has become of it. Cheap to clone; see [`Server::handle`].
///
/// [`Server::handle`]: super::Server::handle
#[derive(Debug, Clone)]
pub struct ServerHandle {
    phase: Arc<watch::Sender<Phase>>,
}

impl ServerHandle {
    pub(super) fn new() -> Self {
        let (phase, _) = watch::channel(Phase::Serving);
        Self {
            phase: Arc::new(phase),
        }
    }

    /// Begins to stop the server without losing a call, and returns at once:
    /// [`serve_with_shutdown`](super::Server::serve_with_shutdown) says how it goes on, and what `grace` is. The serving
    /// future ends with it, also that of [`serve`](super::Server::serve).
    ///
    /// Called again it ends [`pre_stop`](super::ServerBuilder::pre_stop), and what is left of the grace is at most this
    /// one.
    pub fn drain(&self, grace: Duration) {
        self.phase.send_if_modified(|phase| {
            let stops = matches!(phase, Phase::Serving | Phase::Stopping { .. });
            if stops {
                *phase = Phase::Stopping { grace };
            }
            stops
        });
    }

    pub(super) fn drain_unless_stopping(&self, grace: Duration) {
        if self.is_ready() {
            self.drain(grace);
        }
    }

    /// Whether new connections are welcome: false from the moment the server is told to stop, while it still accepts
    /// them for [`pre_stop`](super::ServerBuilder::pre_stop). What readiness checks are to tell.
    pub fn is_ready(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Serving)
    }

    /// Waits until the server is told to stop, or is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn stopping(&self) {
        let mut phase = self.subscribe();
        let _ = phase
            .wait_for(|phase| !matches!(phase, Phase::Serving))
            .await;
    }

    /// Waits until the server has stopped, and tells how. `None`: it was dropped.
    ///
    /// # Cancel safety
    ///
    /// As for [`stopping`](Self::stopping).
    pub async fn stopped(&self) -> Option<Report> {
        let mut phase = self.subscribe();
        let over = |phase: &Phase| matches!(phase, Phase::Stopped(_) | Phase::Gone);
        match phase.wait_for(over).await.as_deref() {
            Ok(Phase::Stopped(report)) => Some(report.clone()),
            _ => None,
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The server has come to its end.
    pub(super) fn end(&self, how: Phase) {
        self.phase.send_if_modified(|phase| {
            let first = !matches!(phase, Phase::Stopped(_) | Phase::Gone);
            if first {
                *phase = how;
            }
            first
        });
    }
}
