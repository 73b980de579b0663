use std::time::Duration;

use fastrand::Rng;

use super::backoff::{Backoff, BackoffConfig};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The largest and the smallest of many first delays of clones: close to the ceiling and to the
/// minimum.
fn range(backoff: &Backoff, rng: &mut Rng) -> (Duration, Duration) {
    let delays: Vec<_> = (0..4000).map(|_| backoff.clone().next_delay(rng)).collect();
    (*delays.iter().min().unwrap(), *delays.iter().max().unwrap())
}

fn assert_range(backoff: &Backoff, rng: &mut Rng, min: Duration, max: Duration) {
    let (low, high) = range(backoff, rng);
    let slack = (max - min) / 100;
    assert!(
        low >= min && low <= min + slack,
        "smallest {low:?}, not about {min:?}"
    );
    assert!(
        high <= max && high >= max - slack,
        "largest {high:?}, not about {max:?}"
    );
}

#[test]
fn the_ceiling_doubles_up_to_the_maximum() {
    let mut rng = Rng::with_seed(1);
    let mut backoff = Backoff::new(BackoffConfig::default());
    for ceiling in [100, 200, 400, 800, 1500, 1500, 1500] {
        assert_range(&backoff, &mut rng, ms(20), ms(ceiling));
        backoff.next_delay(&mut rng);
    }
}

#[test]
fn delays_are_spread_evenly() {
    let mut rng = Rng::with_seed(2);
    let config = BackoffConfig::default()
        .min(ms(0))
        .base(ms(1000))
        .max(ms(1000));
    let mut backoff = Backoff::new(config);
    let mut tenths = [0u32; 10];
    for _ in 0..10_000 {
        let delay = backoff.next_delay(&mut rng).as_millis() as usize;
        tenths[(delay / 100).min(9)] += 1;
    }
    for (tenth, count) in tenths.into_iter().enumerate() {
        assert!(
            (900..1100).contains(&count),
            "{count} of 10000 in tenth {tenth}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_delays() {
    let delays = |seed| -> Vec<Duration> {
        let mut rng = Rng::with_seed(seed);
        let mut backoff = Backoff::new(BackoffConfig::default());
        (0..20).map(|_| backoff.next_delay(&mut rng)).collect()
    };
    assert_eq!(delays(7), delays(7));
    assert_ne!(delays(7), delays(8));
}

#[test]
fn a_connection_that_lived_starts_again_and_a_short_one_does_not() {
    let mut rng = Rng::with_seed(3);
    let mut backoff = Backoff::new(BackoffConfig::default());
    for _ in 0..3 {
        backoff.next_delay(&mut rng);
    }
    backoff.connection_ended(ms(4_999), false);
    assert_range(&backoff, &mut rng, ms(20), ms(800));
    backoff.connection_ended(ms(5_000), false);
    assert_range(&backoff, &mut rng, ms(20), ms(100));
}

#[test]
fn a_server_that_restarts_in_an_orderly_way_is_dialed_at_once() {
    let mut rng = Rng::with_seed(3);
    let mut backoff = Backoff::new(BackoffConfig::default());
    backoff.next_delay(&mut rng);
    assert!(
        !backoff.connection_ended(ms(99), true),
        "it may drain for ever"
    );
    assert_range(&backoff, &mut rng, ms(20), ms(200));
    assert!(backoff.connection_ended(ms(100), true));
    assert_range(&backoff, &mut rng, ms(20), ms(100));
    // Nothing is longer than what proves that the server works.
    let config = BackoffConfig::default().base(ms(500)).reset_after(ms(50));
    assert!(Backoff::new(config).connection_ended(ms(50), true));
}

#[test]
fn an_accept_and_close_server_is_not_hammered() {
    let mut rng = Rng::with_seed(4);
    let mut backoff = Backoff::new(BackoffConfig::default());
    let mut clock = Duration::ZERO;
    let mut dials = 0;
    while clock < Duration::from_secs(60) {
        backoff.connection_ended(ms(1), false);
        clock += backoff.next_delay(&mut rng);
        dials += 1;
    }
    // 60 s at 0.76 s on average.
    assert!((60..110).contains(&dials), "{dials} dials in a minute");
}

#[test]
fn contradicting_settings_are_resolved() {
    let mut rng = Rng::with_seed(5);
    // The minimum wins over base and maximum.
    let mut backoff = Backoff::new(BackoffConfig::default().min(ms(5000)));
    for _ in 0..3 {
        assert_eq!(backoff.next_delay(&mut rng), ms(5000));
    }
    // The maximum wins over the base.
    let backoff = Backoff::new(BackoffConfig::default().base(ms(9000)));
    assert_range(&backoff, &mut rng, ms(20), ms(1500));
    // A factor that would shrink or explode leaves the ceiling where it is.
    for factor in [0.5, 0.0, -3.0, f64::NAN, f64::INFINITY] {
        let mut backoff = Backoff::new(BackoffConfig::default().factor(factor));
        for _ in 0..10 {
            backoff.next_delay(&mut rng);
        }
        assert_range(&backoff, &mut rng, ms(20), ms(100));
    }
}

#[test]
fn extreme_settings_do_not_overflow() {
    let mut rng = Rng::with_seed(6);
    let config = BackoffConfig::default()
        .base(Duration::MAX)
        .max(Duration::MAX)
        .factor(f64::MAX);
    let mut backoff = Backoff::new(config);
    for _ in 0..5 {
        assert!(backoff.next_delay(&mut rng) <= Duration::MAX);
    }
    let zero = BackoffConfig::default().min(ms(0)).base(ms(0)).max(ms(0));
    assert_eq!(Backoff::new(zero).next_delay(&mut rng), ms(0));
}
