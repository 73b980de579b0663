use std::time::{Duration, Instant};

use super::gate::{Gate, Refusal};
use super::overload::{AdaptiveLimit, Overload};
use super::waiting::{Pushed, Turn};
use crate::session::Criticality::{Critical, CriticalPlus, Sheddable};
use crate::session::ErrorReply;

fn gate(max: usize, settings: &Overload) -> Gate<u32> {
    Gate::new(max, settings, Instant::now())
}

fn fill(gate: &Gate<u32>, calls: usize) {
    while gate.running() < calls {
        gate.enter();
    }
}

#[test]
fn the_less_critical_the_earlier_there_is_no_room() {
    let gate = gate(8, &Overload::default());
    let room = || [Sheddable, Critical, CriticalPlus].map(|each| gate.has_room(each));
    for (calls, expected, refuses) in [
        (5, [true; 3], None),
        (6, [false, true, true], Some(Sheddable)),
        (7, [false, true, true], Some(Sheddable)),
        // The limit is a fixed one, which nobody exceeds.
        (8, [false; 3], Some(CriticalPlus)),
    ] {
        fill(&gate, calls);
        assert_eq!(room(), expected, "{calls}");
        assert_eq!(gate.is_busy(), calls >= 6, "{calls}");
        assert_eq!(gate.refuses(), refuses, "{calls}");
    }
    gate.leave();
    assert!(gate.has_room(Critical));
}

#[test]
fn an_adaptive_limit_begins_low_and_the_most_critical_may_exceed_it() {
    let settings = Overload::default().adaptive(AdaptiveLimit::default().min(1));
    let gate = gate(100, &settings);
    assert_eq!(gate.stats().limit, 8);
    fill(&gate, 8);
    assert!(!gate.has_room(Critical));
    assert!(gate.has_room(CriticalPlus));
    fill(&gate, 10);
    assert!(!gate.has_room(CriticalPlus));
}

#[test]
fn an_adaptive_limit_is_never_above_the_fixed_one() {
    let bounds = AdaptiveLimit::default().min(50).max(1000);
    let gate = gate(8, &Overload::default().adaptive(bounds));
    assert_eq!(gate.stats().limit, 8);
    fill(&gate, 8);
    assert!(!gate.has_room(CriticalPlus));
}

#[test]
fn an_adaptive_limit_follows_what_calls_take() {
    let begun = Instant::now();
    let settings = Overload::default().adaptive(AdaptiveLimit::default().min(4));
    let gate: Gate<u32> = Gate::new(1000, &settings, begun);
    fill(&gate, 32);
    assert!(gate.is_busy());
    for call in 0..600 {
        let now = begun + Duration::from_millis(call);
        gate.ended(0, Duration::from_millis(1), now);
    }
    assert!(gate.stats().limit > 32, "{}", gate.stats().limit);
    assert!(!gate.is_busy(), "there is more room now");
}

#[test]
fn with_a_queue_only_what_cannot_wait_is_refused_at_once() {
    let gate = gate(4, &Overload::default().queue(2));
    let now = Instant::now();
    fill(&gate, 4);
    assert_eq!(gate.refuses(), None);
    for call in 0..2 {
        let pushed = gate.wait(call, Critical, None, now);
        assert!(matches!(pushed, Pushed::Waits(_, None)));
    }
    assert_eq!(gate.refuses(), Some(Critical));
    assert!(gate.is_waiting());
    assert_eq!(gate.next(now, |_| Duration::ZERO), None, "there is no room");
    assert!(gate.begin_resuming());
    assert!(!gate.begin_resuming(), "somebody is at it");
    // A place becomes free behind the back of who is at it.
    gate.leave();
    assert!(gate.end_resuming());
    assert_eq!(gate.next(now, |_| Duration::ZERO), Some(Turn::Begin(0)));
    gate.enter();
    assert!(gate.begin_resuming());
    assert!(!gate.end_resuming());
    assert_eq!(gate.stats().waiting, 1);
}

#[test]
fn every_refusal_is_an_error_object_and_counted() {
    let gate = gate(4, &Overload::default());
    for refusal in Refusal::ALL {
        let reply = ErrorReply::parse(refusal.json().as_bytes()).unwrap();
        assert_eq!(reply.code, ErrorReply::OVERLOADED);
        let text: String = reply.to_json();
        assert_eq!(text, refusal.json(), "as anybody else writes it");
        gate.refuse(refusal, 2);
    }
    let stats = gate.stats();
    let refused = [
        stats.refused_limit,
        stats.refused_per_connection,
        stats.refused_abandoned,
        stats.refused_waiting,
    ];
    assert_eq!(refused, [2; 4]);
}
