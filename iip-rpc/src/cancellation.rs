use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use iip_core::server::Peer;

/// Scopes that a thread keeps for later calls.
const MOST_KEPT: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Arc<Scope>>> = const { RefCell::new(Vec::new()) };
}

/// What the calls that run one after another in one place have in common: who called, and which of them is in
/// progress. Shared, so that a call needs no memory for it.
#[derive(Default)]
pub(crate) struct Scope {
    peer: Option<Arc<Peer>>,
    /// A connection ends the call at its deadline and when it is given up, and the call's handler does not know yet.
    watched: AtomicBool,
    /// Calls that have ended.
    ended: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Scope {
    pub(crate) fn new(peer: Option<Arc<Peer>>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            ..Self::default()
        })
    }

    /// The scope of a call that a connection ends at its deadline and when it is given up.
    pub(crate) fn watched(peer: Arc<Peer>) -> Arc<Self> {
        Arc::new(Self {
            peer: Some(peer),
            watched: AtomicBool::new(true),
            ..Self::default()
        })
    }

    /// Whether a connection ends the call. Said once, to the call's own handler: a call that it passes the request on to
    /// is another one.
    pub(crate) fn claim(&self) -> bool {
        self.watched.swap(false, Ordering::Relaxed)
    }

    /// A scope that was used before, if there is one; its memory is used again when a call of a connection does not
    /// end in place.
    pub(crate) fn reused(peer: &Arc<Peer>) -> Arc<Self> {
        let kept = KEPT.try_with(|kept| kept.try_borrow_mut().ok()?.pop());
        if let Ok(Some(mut scope)) = kept
            && let Some(unused) = Arc::get_mut(&mut scope)
        {
            unused.peer = Some(Arc::clone(peer));
            return scope;
        }
        Self::new(Some(Arc::clone(peer)))
    }

    /// Keeps a scope for [`reused`](Self::reused), unless somebody else still has it.
    pub(crate) fn keep(mut self: Arc<Self>) {
        let Some(unused) = Arc::get_mut(&mut self) else {
            return;
        };
        unused.peer = None;
        // At the end of a thread there is nowhere to keep it.
        let _ = KEPT.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut()
                && kept.len() < MOST_KEPT
            {
                kept.push(self);
            }
        });
    }

    pub(crate) fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    /// The token of the call in progress.
    pub(crate) fn token(self: &Arc<Self>) -> Cancellation {
        Cancellation {
            turn: self.ended.load(Ordering::Acquire),
            scope: Some(Arc::clone(self)),
        }
    }

    /// Ends the call in progress, whatever the reason.
    pub(crate) fn end(self: &Arc<Self>) {
        // Nobody has a token, and nobody can get one.
        if Arc::strong_count(self) == 1 {
            return;
        }
        self.ended.fetch_add(1, Ordering::AcqRel);
        let waiting = std::mem::take(&mut *self.lock());
        for waker in waiting {
            waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells work that a handler started elsewhere, in a task or a thread, that nobody waits for it any more. Cheap to
/// clone; made by [`Request::cancellation`](crate::Request::cancellation).
///
/// It fires when the call was given up by its caller, when its deadline has passed, when its connection is lost, and
/// when its handler is over.
#[derive(Clone, Default)]
pub struct Cancellation {
    scope: Option<Arc<Scope>>,
    turn: u64,
}

impl Cancellation {
    /// Whether it has fired.
    pub fn is_cancelled(&self) -> bool {
        let ended = |scope: &Arc<Scope>| scope.ended.load(Ordering::Acquire) != self.turn;
        self.scope.as_ref().is_some_and(ended)
    }

    /// Ready when it has fired; never for a request that is not in a handler.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) {
        poll_fn(|context| {
            let Some(scope) = &self.scope else {
                return Poll::Pending;
            };
            // Registered before the look: who ends the call in between wakes.
            let mut waiting = scope.lock();
            if self.is_cancelled() {
                return Poll::Ready(());
            }
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn scope(&self) -> Option<&Arc<Scope>> {
        self.scope.as_ref()
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
