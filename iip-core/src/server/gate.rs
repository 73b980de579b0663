use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::adaptive::Adaptive;
use super::overload::{Overload, OverloadStats, share};
use super::waiting::{Pushed, Ticket, Turn, Waiting};
use crate::session::Criticality;

/// Why a call is refused before anything is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Limit,
    PerConnection,
    Abandoned,
    /// It has waited in vain.
    Waiting,
}

impl Refusal {
    pub(super) const ALL: [Self; 4] = [
        Self::Limit,
        Self::PerConnection,
        Self::Abandoned,
        Self::Waiting,
    ];

    /// The limit's, for figures.
    #[cfg(feature = "metrics")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limit => "in_flight",
            Self::PerConnection => "per_connection",
            Self::Abandoned => "abandoned",
            Self::Waiting => "queue",
        }
    }

    /// The error object. Written out, so that a refusal costs next to nothing.
    pub(super) fn json(self) -> &'static str {
        match self {
            Self::Limit => {
                r#"{"code":109,"message":"the server has too many calls in progress (max_in_flight, AdaptiveLimit)"}"#
            }
            Self::PerConnection => {
                r#"{"code":109,"message":"this connection has too many calls in progress (per_connection)"}"#
            }
            Self::Abandoned => {
                r#"{"code":109,"message":"too many handlers of this connection still run after their deadline (max_abandoned)"}"#
            }
            Self::Waiting => {
                r#"{"code":109,"message":"the call has waited for its turn in vain (queue)"}"#
            }
        }
    }
}

/// How many calls a server works on, and which begin, wait or are refused. `T` is what waits.
#[derive(Debug)]
pub(super) struct Gate<T> {
    /// Handlers in tasks, over all connections.
    running: AtomicUsize,
    /// With so many, calls are looked at before they begin.
    busy_from: AtomicUsize,
    limit: AtomicUsize,
    max: usize,
    per_connection: usize,
    adaptive: Option<Mutex<Adaptive>>,
    queue: usize,
    waiting: Mutex<Waiting<T>>,
    queued: AtomicUsize,
    /// Somebody begins calls that waited, and will look again before it is done.
    resuming: AtomicBool,
    refused: [AtomicU64; Refusal::ALL.len()],
    expired: AtomicU64,
}

impl<T> Gate<T> {
    pub(super) fn new(max: usize, settings: &Overload, now: Instant) -> Self {
        let adaptive = settings
            .adaptive
            .as_ref()
            .map(|bounds| Adaptive::new(bounds.min.min(max), bounds.max.min(max), now));
        let limit = adaptive.as_ref().map_or(max, Adaptive::limit);
        Self {
            running: AtomicUsize::new(0),
            busy_from: AtomicUsize::new(share(Criticality::Sheddable, limit)),
            limit: AtomicUsize::new(limit),
            max,
            per_connection: settings.per_connection,
            adaptive: adaptive.map(Mutex::new),
            queue: settings.queue,
            waiting: Mutex::new(Waiting::new(settings.queue)),
            queued: AtomicUsize::new(0),
            resuming: AtomicBool::new(false),
            refused: Default::default(),
            expired: AtomicU64::new(0),
        }
    }

    /// A handler goes into a task.
    pub(super) fn enter(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended. In one order with who lets a call wait: either that sees the place that is free now, or who leaves
    /// sees the call.
    pub(super) fn leave(&self) {
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether calls are to be looked at before they begin.
    #[inline(always)]
    pub(super) fn is_busy(&self) -> bool {
        self.running.load(Ordering::Relaxed) >= self.busy_from.load(Ordering::Relaxed)
    }

    /// Whether a call may begin.
    pub(super) fn has_room(&self, criticality: Criticality) -> bool {
        let share = share(criticality, self.limit.load(Ordering::Relaxed));
        self.running.load(Ordering::SeqCst) < share.min(self.max)
    }

    /// The most critical calls that can neither begin nor wait; with them all that are less critical.
    pub(super) fn refuses(&self) -> Option<Criticality> {
        if !self.is_busy() {
            return None;
        }
        let begin = Criticality::ALL.into_iter().rev();
        let begin = begin.into_iter().find(|each| !self.has_room(*each))?;
        match self.queue {
            0 => Some(begin),
            _ => self.lock().refuses().map(|wait| wait.min(begin)),
        }
    }

    /// How many calls one connection may have.
    pub(super) fn per_connection(&self) -> usize {
        self.per_connection
    }

    /// Whether calls may wait.
    pub(super) fn has_queue(&self) -> bool {
        self.queue > 0
    }

    /// Whether it is of use to know how long calls take.
    pub(super) fn measures(&self) -> bool {
        self.queue > 0 || self.adaptive.is_some()
    }

    /// A call of `route` is about to leave, which took so long.
    pub(super) fn ended(&self, route: usize, took: Duration, now: Instant) {
        let Some(adaptive) = &self.adaptive else {
            return;
        };
        let mut adaptive = match adaptive.try_lock() {
            Ok(adaptive) => adaptive,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another core tells of another call. One sample less does no harm.
            Err(TryLockError::WouldBlock) => return,
        };
        if adaptive.ended(route, took, self.running(), now) {
            let limit = adaptive.limit();
            self.limit.store(limit, Ordering::Relaxed);
            let busy_from = share(Criticality::Sheddable, limit);
            self.busy_from.store(busy_from, Ordering::Relaxed);
        }
    }

    /// Counts refusals.
    pub(super) fn refuse(&self, refusal: Refusal, calls: u64) {
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(calls, Ordering::Relaxed);
        }
    }

    /// Counts a call whose deadline passed while it waited.
    pub(super) fn expire(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call wait. Whoever does so has to see to it afterwards that it is [resumed](Self::begin_resuming) if there
    /// is room meanwhile.
    pub(super) fn wait(
        &self,
        call: T,
        criticality: Criticality,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Pushed<T> {
        let mut waiting = self.lock();
        let pushed = waiting.push(call, criticality, deadline, now);
        self.queued.store(waiting.len(), Ordering::SeqCst);
        pushed
    }

    /// Takes a call that is not to begin any more; `None` if its turn has come.
    pub(super) fn forget(&self, ticket: Ticket) -> Option<T> {
        let mut waiting = self.lock();
        let call = waiting.remove(ticket);
        self.queued.store(waiting.len(), Ordering::SeqCst);
        call
    }

    /// Whether a call waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.queue > 0 && self.queued.load(Ordering::SeqCst) > 0
    }

    /// The next call whose turn has come.
    pub(super) fn next(&self, now: Instant, service: impl Fn(&T) -> Duration) -> Option<Turn<T>> {
        let mut waiting = self.lock();
        let turn = waiting.pop(now, |criticality| self.has_room(criticality), service);
        self.queued.store(waiting.len(), Ordering::SeqCst);
        turn
    }

    /// False: somebody else begins calls that waited, and looks whether there are any after this.
    pub(super) fn begin_resuming(&self) -> bool {
        !self.resuming.swap(true, Ordering::SeqCst)
    }

    /// True: there is a call whose turn has come, and nobody else may have seen it.
    pub(super) fn end_resuming(&self) -> bool {
        self.resuming.store(false, Ordering::SeqCst);
        self.is_waiting()
            && self
                .lock()
                .has_turn(|criticality| self.has_room(criticality))
    }

    pub(super) fn stats(&self) -> OverloadStats {
        let refused = |refusal: Refusal| {
            let count = self.refused.get(refusal as usize);
            count.map_or(0, |count| count.load(Ordering::Relaxed))
        };
        OverloadStats {
            in_flight: self.running(),
            limit: self.limit.load(Ordering::Relaxed),
            refused_limit: refused(Refusal::Limit),
            per_connection: self.per_connection,
            refused_per_connection: refused(Refusal::PerConnection),
            refused_abandoned: refused(Refusal::Abandoned),
            waiting: self.queued.load(Ordering::Relaxed),
            queue: self.queue,
            refused_waiting: refused(Refusal::Waiting),
            expired_waiting: self.expired.load(Ordering::Relaxed),
        }
    }
}
