use super::placement::Placement;

#[test]
fn cheap_methods_stay_in_place() {
    let placement = Placement::default();
    assert!(placement.in_place());
    for _ in 0..10_000 {
        placement.record(300);
    }
    assert!(placement.in_place() && placement.is_known());
}

#[test]
fn one_slow_start_does_not_count_for_long() {
    let placement = Placement::default();
    placement.record(100_000);
    assert!(!placement.in_place());
    let calls = (0..1000).position(|_| {
        placement.record(300);
        placement.in_place()
    });
    assert!(calls.unwrap() < 100);
}

#[test]
fn expensive_methods_are_spawned_and_stay_so() {
    let placement = Placement::default();
    for _ in 0..1000 {
        placement.record(1_000_000);
        assert!(!placement.in_place());
    }
    for _ in 0..300 {
        placement.record(100);
    }
    assert!(!placement.in_place(), "a short calm is not forgiveness");
    for _ in 0..3000 {
        placement.record(100);
    }
    assert!(placement.in_place(), "there is a way back");
}

#[test]
fn slow_once_in_a_hundred_is_noticed() {
    let placement = Placement::default();
    for _ in 0..1000 {
        placement.record(300);
    }
    let mut spawned = 0;
    for call in 0..10_000 {
        placement.record(if call % 100 == 0 { 1_000_000 } else { 300 });
        spawned += u32::from(!placement.in_place());
    }
    assert!(spawned > 9_000, "{spawned}");
}

#[test]
fn what_is_pinned_stays_in_place() {
    let placement = Placement::pinned();
    for _ in 0..1000 {
        placement.record(1_000_000);
        assert!(placement.in_place() && placement.is_known());
    }
}
