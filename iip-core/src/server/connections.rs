use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::admission::{Admission, Permit};
use super::dispatch::ServerEndpoint;
use super::route::{Paths, Peer};
use super::shared::{ServerCore, ServerShared};
use crate::conn::{drive, now};
use crate::session::{Ended, LONGEST, Limits, Profile, ServerSession};
use crate::transport::{PeerAddr, Stream};

/// The connections of a server.
pub(super) struct Connections {
    pub(super) core: Arc<ServerCore>,
    limits: Arc<Limits>,
    pub(super) admission: Admission,
    open: Mutex<HashMap<u64, Open>>,
    next: AtomicU64,
    /// When the grace ends, once the server stops.
    draining: Mutex<Option<Instant>>,
    age: Option<Age>,
    aborted: AtomicBool,
    /// Who may ask for statistics.
    may_ask: Box<dyn Fn(&PeerAddr) -> bool + Send + Sync>,
    /// Told when a connection ends.
    ended: Notify,
}

/// How old connections get.
pub(super) struct Age {
    pub(super) most: Duration,
    pub(super) grace: Duration,
}

impl Age {
    /// The age of one connection: a tenth more or less.
    fn draw(&self) -> Duration {
        self.most.mul_f64(0.9 + 0.2 * fastrand::f64())
    }
}

struct Open {
    shared: Arc<ServerShared>,
    task: Option<AbortHandle>,
}

impl Connections {
    pub(super) fn new(
        core: Arc<ServerCore>,
        limits: Arc<Limits>,
        admission: Admission,
        may_ask: Box<dyn Fn(&PeerAddr) -> bool + Send + Sync>,
        age: Option<Age>,
    ) -> Self {
        Self {
            core,
            limits,
            admission,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            draining: Mutex::default(),
            age,
            aborted: AtomicBool::new(false),
            may_ask,
            ended: Notify::new(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a connection, or closes it if there are too many.
    pub(super) fn accept(self: &Arc<Self>, stream: Stream, peer: PeerAddr) {
        let now = now();
        let permit = match self.admission.admit(&peer, now) {
            Ok(permit) => permit,
            Err(refusal) => {
                tracing::debug!(%peer, ?refusal, "connection refused");
                return;
            }
        };
        if self.admission.is_crowded() {
            self.evict_idle();
        }
        let core = &self.core;
        let paths = Paths {
            router: Arc::clone(&core.router),
            statistics: (self.may_ask)(&peer),
        };
        let limits = Arc::clone(&self.limits);
        let mut session = ServerSession::new(limits, paths, core.default_timeout, now);
        if let Some(age) = &self.age {
            session.set_age(now + age.draw(), age.grace);
        }
        let info = Arc::new(Peer {
            address: peer.clone(),
        });
        let shared = Arc::new(ServerShared::new(session, info, Arc::clone(core)));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let open = Open {
            shared: Arc::clone(&shared),
            task: None,
        };
        self.open().insert(id, open);
        // After it is in the map: a drain that does not see it there is seen here.
        let draining = *self.draining();
        if let Some(ends) = draining {
            let grace = ends.saturating_duration_since(now);
            shared.tell(|state| state.session.drain(Some(grace), now));
        }
        let connection = Connection {
            id,
            connections: Arc::clone(self),
            shared: Arc::clone(&shared),
            peer,
            _permit: permit,
        };
        core.books.meters.opened();
        let task = tokio::spawn(async move {
            drive(stream, ServerEndpoint::new(shared)).await;
            drop(connection);
        });
        if let Some(open) = self.open().get_mut(&id) {
            open.task = Some(task.abort_handle());
        }
        if self.aborted.load(Ordering::Acquire) {
            task.abort();
        }
    }

    /// Makes room: ends the plain connection that has been idle for longest. Native ones end by themselves when they are
    /// idle for long, and their clients would be back at once, to the cost of the next.
    fn evict_idle(&self) {
        let oldest = self
            .all()
            .into_iter()
            .filter_map(|shared| {
                let state = shared.lock();
                let plain = state.session.profile() == Profile::Plain;
                let idle = plain && state.session.in_flight() == 0 && !state.session.is_draining();
                let since = idle.then(|| state.session.last_activity());
                drop(state);
                since.map(|since| (since, shared))
            })
            .min_by_key(|(since, _)| *since);
        if let Some((_, shared)) = oldest {
            shared.tell(|state| state.session.drain(None, now()));
        }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open().len()
    }

    /// Tells every client to place its calls elsewhere, and ends every connection, at the latest soon after the grace.
    /// Called again, it can make the grace shorter.
    pub(super) fn drain(&self, grace: Duration) {
        let now = now();
        let mut draining = self.draining();
        let ends = now + grace.min(LONGEST);
        *draining = Some(draining.map_or(ends, |before| before.min(ends)));
        drop(draining);
        for shared in self.all() {
            shared.tell(|state| state.session.drain(Some(grace), now));
        }
    }

    fn draining(&self) -> MutexGuard<'_, Option<Instant>> {
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every connection without another word.
    pub(super) fn abort(&self) {
        // One may be about to be accepted.
        self.aborted.store(true, Ordering::Release);
        let tasks: Vec<_> = self
            .open()
            .values()
            .filter_map(|open| open.task.clone())
            .collect();
        for task in tasks {
            task.abort();
        }
    }

    /// Waits until none is open.
    pub(super) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Brings the server's figures up to date.
    pub(super) fn collect(&self) {
        for shared in self.all() {
            shared.collect(&mut shared.lock());
        }
    }

    /// All connections with their numbers, oldest first.
    pub(super) fn numbered(&self) -> Vec<(u64, Arc<ServerShared>)> {
        let open = self.open();
        let all = open
            .iter()
            .map(|(id, open)| (*id, Arc::clone(&open.shared)));
        let mut all: Vec<_> = all.collect();
        drop(open);
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    fn all(&self) -> Vec<Arc<ServerShared>> {
        let open = self.open();
        open.values().map(|open| Arc::clone(&open.shared)).collect()
    }
}

/// One connection's place in the books, given up when its task ends in whatever way.
struct Connection {
    id: u64,
    connections: Arc<Connections>,
    shared: Arc<ServerShared>,
    peer: PeerAddr,
    _permit: Permit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        self.shared.collect(&mut state);
        // The driver does so where it comes to its end, but it may have been dropped.
        for running in state.running.values() {
            running.abort.abort();
        }
        self.shared.forget_all_waiting(&mut state);
        let ended = state.session.ended().cloned();
        drop(state);
        if let Some(Ended::Violation(violation)) = ended {
            self.connections.admission.strike(&self.peer, now());
            tracing::debug!(peer = %self.peer, %violation, "connection closed");
        }
        self.connections.open().remove(&self.id);
        self.shared.core.books.meters.closed();
        self.connections.ended.notify_waiters();
    }
}
