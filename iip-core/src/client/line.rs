use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Those who wait for a channel, in the order in which they came.
///
/// A change wakes the first of them alone. Whoever leaves in its turn, with what it wanted or without, wakes the next, so
/// that any number of channels that became free together is taken, and no change is lost with a call that is given up.
#[derive(Default)]
pub(super) struct Line {
    state: Mutex<State>,
    len: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// By number, which grows.
    places: BTreeMap<u64, Turn>,
    next: u64,
}

enum Turn {
    Now,
    Later(Waker),
}

/// A place in the line, until it is dropped.
pub(super) struct Place<'a> {
    line: &'a Line,
    number: u64,
    in_turn: bool,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// A place at the end; where nobody is before it, it is its turn. If there are `most` places already, there is none.
    pub(super) fn enter(&self, most: usize) -> Option<Place<'_>> {
        let mut state = self.lock();
        if state.places.len() >= most {
            return None;
        }
        let number = state.next;
        state.next += 1;
        let turn = match state.places.is_empty() {
            true => Turn::Now,
            false => Turn::Later(Waker::noop().clone()),
        };
        state.places.insert(number, turn);
        self.len.store(state.places.len(), Ordering::Relaxed);
        Some(Place {
            line: self,
            number,
            in_turn: false,
        })
    }

    /// Something became free: it is the turn of the first who waits.
    pub(super) fn wake_one(&self) {
        let mut state = self.lock();
        let mut turns = state.places.values_mut();
        let first = turns.find(|turn| matches!(turn, Turn::Later(_)));
        let taken = first.map(|turn| std::mem::replace(turn, Turn::Now));
        drop(state);
        if let Some(Turn::Later(waker)) = taken {
            waker.wake();
        }
    }

    /// Something changed that concerns everybody.
    pub(super) fn wake_all(&self) {
        let mut state = self.lock();
        let turns = state.places.values_mut();
        let taken: Vec<_> = turns
            .map(|turn| std::mem::replace(turn, Turn::Now))
            .collect();
        drop(state);
        for turn in taken {
            if let Turn::Later(waker) = turn {
                waker.wake();
            }
        }
    }
}

impl Place<'_> {
    /// Ready when it is this one's turn, once for each: a change after that is told again.
    pub(super) fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.line.lock();
        let later = Turn::Later(context.waker().clone());
        let before = state.places.insert(self.number, later);
        self.in_turn = matches!(before, Some(Turn::Now));
        match self.in_turn {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let left = state.places.remove(&self.number);
        self.line.len.store(state.places.len(), Ordering::Relaxed);
        drop(state);
        if self.in_turn || matches!(left, Some(Turn::Now)) {
            self.line.wake_one();
        }
    }
}
