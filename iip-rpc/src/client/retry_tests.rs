use std::time::Duration;

use super::retry::Retry;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn the_wait_is_drawn_below_a_ceiling_that_doubles() {
    let ceilings = |retry: Retry| {
        let all = (0..40).map(|number| retry.delay(number, 1.0));
        all.collect::<Vec<_>>()
    };
    let default = ceilings(Retry::safe());
    let in_ms: Vec<_> = default.iter().map(Duration::as_millis).collect();
    assert_eq!(in_ms[..6], [50, 100, 200, 400, 800, 1000]);
    assert!(in_ms[6..].iter().all(|ceiling| *ceiling == 1000));
    assert_eq!(Retry::safe().delay(1, 0.25), 25 * MILLISECOND);
    assert_eq!(Retry::safe().delay(7, 0.0), Duration::ZERO);
    // Settings that contradict each other, and numbers that are too large.
    let odd = Retry::safe().backoff(9 * MILLISECOND, 3 * MILLISECOND);
    assert_eq!(odd.delay(0, 1.0), 3 * MILLISECOND);
    let huge = Retry::safe().backoff(Duration::MAX, Duration::MAX);
    assert_eq!(huge.delay(5, 0.5), Duration::MAX.mul_f64(0.5));
}

#[test]
fn settings_are_kept_in_their_ranges() {
    assert_eq!(Retry::default(), Retry::safe());
    assert_eq!(Retry::off().attempts, 1);
    assert_eq!(Retry::safe().attempts(0).attempts, 1);
    for (asked, got) in [(-1.0, 0.0), (0.5, 0.5), (7.0, 1.0), (f64::NAN, 0.0)] {
        assert_eq!(Retry::safe().budget(asked).budget, got);
        assert_eq!(Retry::safe().tokens(10, asked).token_ratio, got);
    }
    for (asked, got) in [(0, 1), (10, 10), (u32::MAX, 1000)] {
        assert_eq!(Retry::safe().tokens(asked, 0.1).tokens, got);
    }
}
