use std::time::{Duration, Instant};

use super::books::Books;
use super::meters::Meters;
use crate::session::{Durations, Tally};

fn recorded(calls: &[(u64, u64)]) -> (Books, Instant) {
    let began = Instant::now();
    let books = Books::new(began, Meters::new(Vec::new()));
    let mut tally = Tally::default();
    for &(second, millis) in calls {
        let now = began + Duration::from_secs(second);
        // A call that takes no whole second is not moved to another one.
        tally.answer(0, now);
        books.settle(&mut tally, now + Duration::from_millis(millis));
    }
    books.add(&mut tally);
    (books, began)
}

fn busy(recent: &[Durations]) -> Vec<(usize, u64)> {
    let calls = recent.iter().map(Durations::calls).enumerate();
    calls.filter(|(_, calls)| *calls > 0).collect()
}

#[test]
fn seconds_without_calls_are_empty_and_old_ones_fall_out() {
    let (books, began) = recorded(&[(0, 1), (0, 1), (5, 1), (299, 1), (301, 1)]);
    let at = |second| books.total(began + Duration::from_secs(second));
    // 0 is out at 300 already: the place behind the present one is free.
    let ring = at(301).ring();
    assert_eq!(ring.len(), 301);
    assert_eq!(busy(&ring), [(0, 1), (5, 1), (299, 1)]);
    assert_eq!(busy(&at(305).ring()), [(0, 1), (299, 1)]);
    assert_eq!(busy(&at(10_000).ring()), []);
    // For programs: the same in order, the present second last.
    let recent = at(301).recent();
    assert_eq!(recent.len(), 300);
    assert_eq!(busy(&recent), [(3, 1), (297, 1), (299, 1)]);
    assert_eq!(busy(&at(305).recent()), [(293, 1), (295, 1)]);
    assert_eq!(busy(&at(10_000).recent()), []);
    assert_eq!(at(10_000).durations.calls(), 5);
    assert_eq!(books.route(0, began).durations, at(0).durations);
    assert_eq!(books.route(1, began).durations.calls(), 0);
}

#[test]
fn the_first_second_is_shown_for_five_minutes() {
    let (books, began) = recorded(&[(0, 1)]);
    let at = |second| books.total(began + Duration::from_secs(second));
    assert_eq!(busy(&at(299).ring()), [(0, 1)]);
    assert_eq!(busy(&at(299).recent()), [(0, 1)]);
    assert_eq!(busy(&at(300).ring()), []);
    assert_eq!(busy(&at(300).recent()), []);
}

#[test]
fn ranges_end_where_they_say() {
    let millis = [0, 100, 101, 200, 300, 500, 700, 999];
    let calls: Vec<_> = (0..).zip(millis).collect();
    let (books, began) = recorded(&calls);
    let durations = books.total(began).durations;
    let calls = durations.ranges.map(|range| range.calls);
    assert_eq!(calls, [2, 2, 1, 1, 1, 1, 0, 0]);
    let sum: u64 = millis.iter().sum();
    assert_eq!(durations.nanos(), sum * 1_000_000);
}
