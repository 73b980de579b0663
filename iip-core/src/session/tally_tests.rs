use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::tally::{Durations, NO_ROUTE, Tally, Traffic};
use crate::wire::ChannelId;

const CHANNEL: ChannelId = ChannelId(3);

fn taken(tally: &mut Tally) -> BTreeMap<u32, (Traffic, Durations)> {
    let mut sums: BTreeMap<u32, (Traffic, Durations)> = BTreeMap::new();
    tally.take(|route, counted| {
        let (traffic, durations) = sums.entry(route).or_default();
        traffic.add(&counted.traffic);
        durations.add(&counted.durations);
    });
    sums
}

#[test]
fn routes_in_turn_are_counted_each_for_itself() {
    let mut tally = Tally::default();
    for bytes in 1..=10 {
        for route in [NO_ROUTE, 7, 2] {
            tally.receive(route, CHANNEL, bytes, bytes % 2 == 0);
            tally.send(route, CHANNEL, 10 * bytes, true);
        }
    }
    let of_each = Traffic {
        frames_sent: 10,
        frames_received: 10,
        messages_sent: 10,
        messages_received: 5,
        bytes_sent: 550,
        bytes_received: 55,
    };
    let counted = taken(&mut tally);
    assert_eq!(
        counted.keys().copied().collect::<Vec<_>>(),
        [2, 7, NO_ROUTE]
    );
    for (traffic, durations) in counted.values() {
        assert_eq!(*traffic, of_each);
        assert_eq!(durations.calls(), 0);
    }
    // Each is taken once; what belongs to the connection stays.
    assert!(taken(&mut tally).is_empty());
    assert_eq!(tally.traffic().bytes_received, 3 * 55);
    assert_eq!(tally.by_channel(), [(3, tally.traffic())]);
}

#[test]
fn calls_of_one_batch_have_the_durations_of_their_arrivals() {
    let began = Instant::now();
    let at = |millis| began + Duration::from_millis(millis);
    let mut tally = Tally::default();
    assert!(!tally.awaits_clock());
    // Two of a kind, then another arrival, another route, and the first again.
    for (route, arrived) in [(1, 0), (1, 0), (1, 390), (2, 0), (1, 0)] {
        tally.receive(route, CHANNEL, 20, true);
        tally.answer(route, at(arrived));
    }
    assert!(tally.awaits_clock());
    let mut told = Vec::new();
    tally.settle(at(400), |route, nanos, calls| {
        told.push((route, nanos / 1_000_000, calls));
    });
    assert!(!tally.awaits_clock());
    told.sort_unstable();
    assert_eq!(told, [(1, 10, 1), (1, 400, 1), (1, 400, 2), (2, 400, 1)]);
    // Once told, they are told no more.
    tally.settle(at(900), |_, _, _| unreachable!());

    // A further one, while the other route is the last that was counted.
    tally.answer(2, at(400));
    tally.send(2, CHANNEL, 20, true);
    tally.settle(at(450), |_, _, _| {});
    let counted = taken(&mut tally);
    let calls = |route: u32| counted[&route].1.ranges.map(|range| range.calls);
    assert_eq!(calls(1), [1, 0, 0, 3, 0, 0, 0, 0]);
    assert_eq!(calls(2), [1, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(counted[&1].1.nanos(), 1_210_000_000);
    assert_eq!(counted[&2].1.nanos(), 450_000_000);
}
