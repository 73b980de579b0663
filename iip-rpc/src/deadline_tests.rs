use std::time::{Duration, Instant};

use crate::deadline::{Inherit, MAX_TIMEOUT, inherited, on_arrival, whole_microseconds};

#[test]
fn arrival_plus_what_remains() {
    let arrived = Instant::now();
    let default = Duration::from_secs(10);
    for (timeout_us, expected) in [
        (None, Some(10_000_000)),
        (Some(1500), Some(1500)),
        (Some(0), Some(0)),
        (Some(u64::MAX - 1), Some(MAX_TIMEOUT.as_micros() as u64)),
        (Some(u64::MAX), None),
    ] {
        assert_eq!(
            on_arrival(arrived, timeout_us, Some(default)),
            expected.map(|us| arrived + Duration::from_micros(us))
        );
    }
    assert_eq!(on_arrival(arrived, None, None), None);
    assert_eq!(
        on_arrival(arrived, None, Some(Duration::MAX)),
        Some(arrived + MAX_TIMEOUT)
    );
}

#[test]
fn what_remains_is_said_in_microseconds() {
    assert_eq!(whole_microseconds(Duration::from_nanos(3_999)), 3);
    assert_eq!(whole_microseconds(Duration::MAX), u64::MAX - 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_passes_on_less_than_it_has() {
    assert_eq!(inherited(), None);
    let now = tokio::time::Instant::now().into_std();
    {
        let _outer = Inherit::enter(Some(now + Duration::from_millis(1000)));
        assert_eq!(inherited(), Some(now + Duration::from_millis(989)));
        {
            let _inner = Inherit::enter(Some(now + Duration::from_micros(500)));
            assert_eq!(inherited(), Some(now));
        }
        assert_eq!(inherited(), Some(now + Duration::from_millis(989)));
    }
    assert_eq!(inherited(), None);
}
