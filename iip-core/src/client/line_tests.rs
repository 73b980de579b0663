use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::line::{Line, Place};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A place, and how often it was woken.
struct Waiter<'a> {
    place: Place<'a>,
    wakes: Arc<Wakes>,
}

impl<'a> Waiter<'a> {
    fn enter(line: &'a Line) -> Self {
        Self {
            place: line.enter(10).unwrap(),
            wakes: Arc::default(),
        }
    }

    /// Whether it is its turn.
    fn looks(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let polled = self.place.poll_turn(&mut Context::from_waker(&waker));
        polled == Poll::Ready(())
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

/// So many who have looked, and wait.
fn waiting(line: &Line, count: usize) -> Vec<Waiter<'_>> {
    let mut waiters: Vec<_> = (0..count).map(|_| Waiter::enter(line)).collect();
    for (index, waiter) in waiters.iter_mut().enumerate() {
        assert_eq!(waiter.looks(), index == 0, "only who is first");
        assert!(!waiter.looks());
    }
    waiters
}

fn wakes(waiters: &[Waiter<'_>]) -> Vec<usize> {
    waiters.iter().map(Waiter::wakes).collect()
}

#[test]
fn a_change_wakes_the_first_alone() {
    let line = Line::default();
    let mut waiters = waiting(&line, 4);
    line.wake_one();
    assert_eq!(wakes(&waiters), [1, 0, 0, 0]);
    assert!(waiters[0].looks() && !waiters[1].looks());
    // It found nothing, and is the first all the same.
    assert!(!waiters[0].looks());
    line.wake_one();
    assert_eq!(wakes(&waiters), [2, 0, 0, 0]);
    // A second change before it has looked is the next one's.
    line.wake_one();
    assert_eq!(wakes(&waiters), [2, 1, 0, 0]);
}

#[test]
fn who_found_something_wakes_the_next() {
    let line = Line::default();
    let mut waiters = waiting(&line, 4);
    line.wake_one();
    assert!(waiters[0].looks());
    drop(waiters.remove(0));
    assert_eq!(wakes(&waiters), [1, 0, 0]);
    assert_eq!(line.len(), 3);
}

#[test]
fn who_is_dropped_in_its_turn_passes_it_on() {
    let line = Line::default();
    let mut waiters = waiting(&line, 4);
    line.wake_one();
    drop(waiters.remove(0));
    assert_eq!(wakes(&waiters), [1, 0, 0]);
    assert!(waiters[0].looks());
    // Who leaves out of its turn concerns nobody.
    assert!(!waiters[0].looks());
    drop(waiters.remove(1));
    assert_eq!(wakes(&waiters), [1, 0]);
}

#[test]
fn who_comes_later_is_not_served_earlier() {
    let line = Line::default();
    let mut waiters = waiting(&line, 1);
    line.wake_one();
    let mut late = Waiter::enter(&line);
    assert!(!late.looks());
    assert!(waiters[0].looks());
    drop(waiters);
    assert_eq!(late.wakes(), 1);
    assert!(late.looks());
    drop(late);
    assert_eq!(line.len(), 0);
    assert!(Waiter::enter(&line).looks());
}

#[test]
fn there_are_only_so_many_places() {
    let line = Line::default();
    let waiters = waiting(&line, 2);
    assert!(line.enter(2).is_none() && line.enter(3).is_some());
    drop(waiters);
    assert!(line.enter(2).is_some());
}

#[test]
fn what_concerns_everybody_wakes_everybody() {
    let line = Line::default();
    let mut waiters = waiting(&line, 3);
    line.wake_all();
    assert_eq!(wakes(&waiters), [1, 1, 1]);
    assert!(waiters.iter_mut().all(Waiter::looks));
}
