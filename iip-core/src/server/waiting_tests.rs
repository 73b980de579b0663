use std::time::{Duration, Instant};

use super::waiting::{Pushed, Turn, Waiting};
use crate::session::Criticality::{self, Critical, CriticalPlus, Sheddable};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A queue of calls that are numbers, in virtual time.
struct Rig {
    waiting: Waiting<u32>,
    begun: Instant,
    now: Duration,
    service: Duration,
}

impl Rig {
    fn new(limit: usize) -> Self {
        Self {
            waiting: Waiting::new(limit),
            begun: Instant::now(),
            now: Duration::ZERO,
            service: ms(10),
        }
    }

    /// Adds a call with so much time left.
    fn push(&mut self, call: u32, criticality: Criticality, timeout: Duration) -> Pushed<u32> {
        let now = self.begun + self.now;
        self.waiting
            .push(call, criticality, Some(now + timeout), now)
    }

    fn waits(&mut self, call: u32, criticality: Criticality) -> Option<u32> {
        match self.push(call, criticality, ms(60_000)) {
            Pushed::Waits(_, displaced) => displaced,
            Pushed::Full(call) => panic!("no room for {call}"),
        }
    }

    fn is_full(&mut self, call: u32, criticality: Criticality) -> bool {
        self.push(call, criticality, ms(60_000)) == Pushed::Full(call)
    }

    fn pop(&mut self) -> Option<Turn<u32>> {
        let service = self.service;
        self.waiting
            .pop(self.begun + self.now, |_| true, |_| service)
    }

    /// Adds and takes a call every 10 ms, so that the oldest is never younger than 100 ms.
    fn let_it_stand(&mut self, criticality: Criticality, first: u32) {
        for call in first..first + 40 {
            self.now += ms(10);
            self.waits(call, criticality);
            if call >= first + 10 {
                assert!(matches!(self.pop(), Some(Turn::Begin(_))));
            }
        }
    }
}

#[test]
fn calls_are_served_in_order_and_the_more_critical_first() {
    let mut rig = Rig::new(10);
    for (call, criticality) in [
        (1, Critical),
        (2, Sheddable),
        (3, CriticalPlus),
        (4, Critical),
    ] {
        assert_eq!(rig.waits(call, criticality), None);
    }
    assert_eq!(rig.waiting.len(), 4);
    for call in [3, 1, 4, 2] {
        assert_eq!(rig.pop(), Some(Turn::Begin(call)));
    }
    assert_eq!(rig.pop(), None);
    assert_eq!(rig.waiting.len(), 0);
}

#[test]
fn there_is_room_for_the_more_critical_where_there_is_none_for_others() {
    let mut rig = Rig::new(10);
    rig.waits(1, Sheddable);
    rig.waits(2, Critical);
    let now = rig.begun;
    let only = |least: Criticality| move |criticality: Criticality| criticality >= least;
    assert_eq!(rig.waiting.pop(now, only(CriticalPlus), |_| ms(1)), None);
    let next = rig.waiting.pop(now, only(Critical), |_| ms(1));
    assert_eq!(next, Some(Turn::Begin(2)));
    assert_eq!(rig.waiting.pop(now, only(Critical), |_| ms(1)), None);
    assert_eq!(rig.pop(), Some(Turn::Begin(1)));
}

#[test]
fn a_full_queue_refuses_what_is_not_more_critical_than_all_that_waits() {
    let mut rig = Rig::new(3);
    for (call, criticality) in [(1, Sheddable), (2, Sheddable), (3, Critical)] {
        rig.waits(call, criticality);
    }
    assert!(rig.is_full(4, Sheddable));
    assert_eq!(rig.waits(5, Critical), Some(2), "the newest of the least");
    assert_eq!(rig.waits(6, CriticalPlus), Some(1));
    assert!(rig.is_full(7, Critical));
    assert_eq!(rig.waits(8, CriticalPlus), Some(5));
    assert_eq!(rig.waiting.len(), 3);
    let mut none = Rig::new(0);
    assert!(none.is_full(1, CriticalPlus));
}

#[test]
fn what_has_expired_is_not_begun() {
    let mut rig = Rig::new(10);
    rig.push(1, Critical, ms(5));
    rig.push(2, Critical, ms(6));
    rig.now = ms(5);
    assert_eq!(rig.pop(), Some(Turn::Expired(1)));
    // In order, so little time is worth a try.
    assert_eq!(rig.pop(), Some(Turn::Begin(2)));
}

#[test]
fn a_queue_that_stands_is_served_from_its_end() {
    let mut rig = Rig::new(1000);
    rig.let_it_stand(Critical, 0);
    rig.waits(100, Critical);
    rig.waits(101, Critical);
    assert_eq!(rig.pop(), Some(Turn::Begin(101)));
    assert_eq!(rig.pop(), Some(Turn::Begin(100)));
    // Another criticality is another queue.
    rig.waits(200, CriticalPlus);
    rig.waits(201, CriticalPlus);
    assert_eq!(rig.pop(), Some(Turn::Begin(200)));
    while rig.waiting.len() > 0 {
        rig.pop();
    }
    // Once it was empty it is served in order again.
    assert_eq!(rig.pop(), None);
    rig.waits(300, Critical);
    rig.waits(301, Critical);
    assert_eq!(rig.pop(), Some(Turn::Begin(300)));
}

#[test]
fn a_queue_that_stands_begins_nothing_that_cannot_end_in_time() {
    let mut rig = Rig::new(1000);
    rig.let_it_stand(Critical, 0);
    rig.push(100, Critical, ms(9));
    assert_eq!(rig.pop(), Some(Turn::Hopeless(100)));
    rig.push(101, Critical, ms(10));
    assert_eq!(rig.pop(), Some(Turn::Begin(101)));
    rig.push(102, Critical, ms(0));
    assert_eq!(rig.pop(), Some(Turn::Expired(102)));
    let now = rig.begun + rig.now;
    rig.waiting.push(103, Critical, None, now);
    assert_eq!(rig.pop(), Some(Turn::Begin(103)), "has all the time");
}

#[test]
fn a_full_queue_that_stands_gives_up_its_oldest() {
    let mut rig = Rig::new(10);
    for call in 0..10 {
        rig.waits(call, Critical);
    }
    // Nothing becomes free for long, but for one call.
    rig.now = ms(50);
    assert_eq!(rig.pop(), Some(Turn::Begin(0)));
    rig.now = ms(150);
    assert_eq!(rig.pop(), Some(Turn::Begin(9)));
    for (call, displaced) in [(10, None), (11, None), (12, Some(1)), (13, Some(2))] {
        assert_eq!(rig.waits(call, Critical), displaced);
    }
    assert!(rig.is_full(14, Sheddable));
    assert_eq!(rig.waits(15, CriticalPlus), Some(3));
}

#[test]
fn short_waits_leave_the_order_alone() {
    let mut rig = Rig::new(1000);
    for call in 0..1000 {
        rig.now += ms(10);
        rig.waits(2 * call, Critical);
        rig.waits(2 * call + 1, Critical);
        assert_eq!(rig.pop(), Some(Turn::Begin(2 * call)));
        rig.now += ms(20);
        assert_eq!(rig.pop(), Some(Turn::Begin(2 * call + 1)));
    }
}

#[test]
fn what_is_removed_has_no_turn() {
    let mut rig = Rig::new(2);
    let Pushed::Waits(first, None) = rig.push(1, Critical, ms(10)) else {
        panic!("there is room");
    };
    rig.waits(2, Sheddable);
    assert_eq!(rig.waiting.remove(first), Some(1));
    assert_eq!(rig.waiting.remove(first), None);
    assert_eq!(rig.waits(3, Sheddable), None, "there is room again");
    assert_eq!(rig.pop(), Some(Turn::Begin(2)));
    assert_eq!(rig.pop(), Some(Turn::Begin(3)));
    assert_eq!(rig.pop(), None);
}

/// What a push would do, told before.
#[test]
fn it_says_what_it_refuses() {
    let all = [Sheddable, Critical, CriticalPlus];
    for limit in 0..3 {
        for first in all {
            for stands in [false, true] {
                for next in all {
                    let mut rig = Rig::new(limit);
                    if stands && limit > 0 {
                        // The oldest has waited for long.
                        rig.waits(0, first);
                        rig.now = ms(50);
                        rig.waiting.observe_all(rig.begun + rig.now);
                        rig.now = ms(150);
                        rig.waiting.observe_all(rig.begun + rig.now);
                    }
                    while rig.waiting.len() < limit {
                        rig.waits(1, first);
                    }
                    let refused = rig.waiting.refuses().is_some_and(|most| next <= most);
                    let case = format!("{limit} {first:?} {stands} {next:?}");
                    assert_eq!(rig.is_full(2, next), refused, "{case}");
                }
            }
        }
    }
    let mut rig = Rig::new(2);
    rig.waits(1, Sheddable);
    assert_eq!(rig.waiting.refuses(), None, "there is room");
}
