use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::balance::{Endpoint, Target};

fn endpoint() -> Arc<Endpoint> {
    Endpoint::new("a:1#7".parse::<Target>().unwrap().with_locality("here"))
}

#[test]
fn it_is_what_its_target_says_and_no_two_are_the_same() {
    let one = endpoint();
    assert_eq!(one.address().to_string(), "iip://a:1");
    assert_eq!(one.weight().get(), 7);
    assert_eq!(one.locality().map(|zone| &**zone), Some("here"));
    assert_eq!(one.target().to_string(), "iip://a:1#7");
    assert_ne!(one.id(), endpoint().id());
    assert!(format!("{one:?}").contains("iip://a:1#7"));
}

#[test]
fn calls_count_until_they_are_dropped() {
    let one = endpoint();
    let calls: Vec<_> = (0..3).map(|_| one.begin_call()).collect();
    assert_eq!(one.in_flight(), 3);
    assert!(Arc::ptr_eq(calls[0].endpoint(), &one));
    drop(calls);
    assert_eq!(one.in_flight(), 0);
}

#[test]
fn threads_count_and_measure_together() {
    let (one, now) = (endpoint(), Instant::now());
    thread::scope(|scope| {
        for longest in 1..=4u64 {
            let one = &one;
            scope.spawn(move || {
                for micros in 0..=longest * 1000 {
                    let call = one.begin_call();
                    one.record_latency(Duration::from_micros(micros), now);
                    drop(call);
                }
            });
        }
    });
    assert_eq!(one.in_flight(), 0);
    let latency = one.latency().unwrap();
    assert_eq!(latency.as_micros(), 4000);
}

#[test]
fn a_ramp_is_a_part() {
    let one = endpoint();
    assert_eq!(one.ramp(), 1.0);
    for (set, part) in [
        (0.25, 0.25),
        (0.0, 0.0),
        (-1.0, 0.0),
        (2.0, 1.0),
        (f32::NAN, 0.0),
    ] {
        one.set_ramp(set);
        assert_eq!(one.ramp(), part);
    }
}
