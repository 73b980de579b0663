use std::time::{Duration, Instant};

use super::window::Window;

#[test]
fn events_count_until_their_step_is_out_of_the_window() {
    let start = Instant::now();
    let window = Window::<3>::new(start, Duration::from_secs(10));
    let at = |seconds| start + Duration::from_secs(seconds);
    for second in [0, 9, 10, 29] {
        window.add(at(second));
    }
    // By the second of the question: the steps are 0 to 9, 10 to 19 and so on.
    for (second, events) in [
        (29, 4),
        (30, 2),
        (39, 2),
        (40, 1),
        (49, 1),
        (50, 0),
        (500, 0),
    ] {
        assert_eq!(window.sum(at(second)), events, "{second} s");
    }
    // The slot is used again.
    window.add(at(30));
    assert_eq!(window.sum(at(30)), 3);
    // What lies before the start counts as the start.
    let late = Window::<3>::new(at(30), Duration::from_secs(10));
    late.add(start);
    assert_eq!(late.sum(start), 1);
}

#[test]
fn events_of_many_threads_are_counted_together() {
    let start = Instant::now();
    let window = Window::<3>::new(start, Duration::from_secs(10));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    window.add(start);
                }
            });
        }
    });
    assert_eq!(window.sum(start), 4000);
}
