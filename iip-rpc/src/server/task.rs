use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use crate::Status;
use crate::body::Drive;
use crate::cancellation::Scope;
use crate::deadline::Inherit;
use crate::stream::cancelled;

/// Who polls a handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Who waits for its answer.
    Taker = 0,
    /// Who sends to it and waits for room.
    Sender = 1,
}

/// A handler of a streaming method, run by whoever waits for it: no task. Those who wait may be two, in two tasks, so
/// that it is woken through this.
pub(super) struct Task<T> {
    slot: Mutex<Slot<T>>,
    waiting: Mutex<[Option<Waker>; 2]>,
    /// Why the handler is to be stopped, by whoever has it.
    stop: Mutex<Option<Status>>,
    scope: Arc<Scope>,
    /// What calls made by the handler inherit.
    deadline: Option<Instant>,
    /// Nobody else ends the handler at its deadline.
    timed: bool,
}

type HandlerFuture<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

struct Slot<T> {
    future: Option<HandlerFuture<T>>,
    timer: Option<Pin<Box<Sleep>>>,
    output: Option<Result<T, Status>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl<T: Send + 'static> Task<T> {
    /// A place for a handler, to be started. `timed`: it ends the handler at the deadline.
    pub(super) fn new(scope: Arc<Scope>, deadline: Option<Instant>, timed: bool) -> Arc<Self> {
        Arc::new(Self {
            slot: Mutex::new(Slot {
                future: None,
                timer: None,
                output: None,
            }),
            waiting: Mutex::default(),
            stop: Mutex::default(),
            scope,
            deadline,
            timed,
        })
    }

    pub(super) fn start(&self, future: impl Future<Output = Result<T, Status>> + Send + 'static) {
        lock(&self.slot).future = Some(Box::pin(future));
        // It may have been given up meanwhile.
        self.settle();
    }

    /// Lets the handler go on. Ready when it is over.
    pub(super) fn poll(self: &Arc<Self>, side: Side, context: &mut Context<'_>) -> Poll<()> {
        self.register(side, context.waker());
        // Somebody else polls it, and will wake this side when anything comes of it.
        let Some(mut slot) = try_lock(&self.slot) else {
            return Poll::Pending;
        };
        let over = slot.output.is_some() || self.run(&mut slot);
        drop(slot);
        if over {
            self.wake_all();
        }
        match over || self.settle() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Polls the handler once. True: it is over.
    fn run(self: &Arc<Self>, slot: &mut Slot<T>) -> bool {
        let Some(future) = &mut slot.future else {
            return false;
        };
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        let _inherit = Inherit::enter(self.deadline);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        let output = match polled {
            Ok(Poll::Ready(output)) => output,
            Err(_) => Err(super::failure::panicked()),
            Ok(Poll::Pending) => match self.deadline.filter(|_| self.timed) {
                Some(deadline) => {
                    let sleep = || Box::pin(sleep_until(deadline.into()));
                    let timer = slot.timer.get_or_insert_with(sleep);
                    if timer.as_mut().poll(&mut context).is_pending() {
                        return false;
                    }
                    Err(super::failure::expired())
                }
                None => return false,
            },
        };
        slot.output = Some(output);
        slot.future = None;
        slot.timer = None;
        self.scope.end();
        true
    }

    /// The handler's result, once.
    pub(super) fn take_output(&self) -> Option<Result<T, Status>> {
        lock(&self.slot).output.take()
    }

    /// Drops the handler with this result, unless it is over.
    pub(super) fn stop(&self, status: Status) {
        *lock(&self.stop) = Some(status);
        self.settle();
    }

    /// Stops the handler if somebody wanted that while it was being polled. True: it was stopped.
    fn settle(&self) -> bool {
        let Some(mut slot) = try_lock(&self.slot) else {
            return false;
        };
        let Some(future) = slot.future.take_if(|_| lock(&self.stop).is_some()) else {
            return false;
        };
        slot.output = lock(&self.stop).take().map(Err);
        slot.timer = None;
        drop(slot);
        let _inherit = Inherit::enter(self.deadline);
        drop(future);
        self.scope.end();
        self.wake_all();
        true
    }

    fn register(&self, side: Side, waker: &Waker) {
        let mut waiting = lock(&self.waiting);
        let Some(kept) = waiting.get_mut(side as usize) else {
            return;
        };
        match kept {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
    }

    fn wake_all(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for waker in waiting.into_iter().flatten() {
            waker.wake();
        }
    }
}

impl<T: Send + 'static> Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl<T: Send + 'static> Drive for Task<T> {
    fn drive(self: Arc<Self>, context: &mut Context<'_>) {
        let _ = self.poll(Side::Sender, context);
    }

    fn cancel(self: Arc<Self>) {
        self.stop(cancelled());
    }
}

/// A handler and the wait for its result. Dropping it drops the handler.
pub(super) struct Running<T: Send + 'static>(Arc<Task<T>>);

impl<T: Send + 'static> Running<T> {
    pub(super) fn new(task: Arc<Task<T>>) -> Self {
        Self(task)
    }
}

impl<T: Send + 'static> Future for Running<T> {
    type Output = Result<T, Status>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.poll(Side::Taker, context) {
            Poll::Ready(()) => match self.0.take_output() {
                Some(output) => Poll::Ready(output),
                None => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: Send + 'static> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.stop(cancelled());
    }
}
