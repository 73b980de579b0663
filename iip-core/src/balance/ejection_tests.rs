use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::ejection::{Ejection, Finding, Health};

const FAST: Duration = Duration::from_millis(1);

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One endpoint's health in virtual time.
struct World {
    settings: Ejection,
    start: Instant,
    now: Instant,
    health: Health,
}

impl World {
    fn new(settings: Ejection) -> Self {
        let start = Instant::now();
        Self {
            settings,
            start,
            now: start,
            health: Health::new(start),
        }
    }

    fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn call(&mut self, failed: bool) -> Finding {
        self.health.ended(&self.settings, self.now, failed, FAST)
    }

    /// Ends calls; how many were needed to be found failing.
    fn until_failing(&mut self, results: impl IntoIterator<Item = bool>) -> Option<usize> {
        let mut results = results.into_iter();
        let found = results.position(|failed| self.call(failed) == Finding::Failing);
        found.map(|index| index + 1)
    }

    fn eject(&mut self) {
        self.health.eject(&self.settings, self.now);
    }

    /// A probe with this result; whether the endpoint returns.
    fn probe(&mut self, failed: Option<bool>) -> Option<bool> {
        let probe = self.health.try_probe(&self.settings, self.now)?;
        Some(self.health.probe_ended(probe, failed))
    }

    fn restore(&mut self) -> Duration {
        self.health.return_to_service(&self.settings, self.now)
    }
}

#[test]
fn five_failures_in_a_row_eject() {
    let mut world = World::new(Ejection::default());
    assert_eq!(world.until_failing([true; 10]), Some(5));
    let mut world = World::new(Ejection::default());
    let with_pauses = [true, true, true, true, false].into_iter().cycle();
    // More than half of 20 is another reason.
    assert_eq!(world.until_failing(with_pauses.take(19)), None);
    let mut world = World::new(Ejection::default().consecutive_failures(3));
    assert_eq!(world.until_failing([true; 10]), Some(3));
}

#[test]
fn more_than_half_of_twenty_calls_eject() {
    let settings = Ejection::default().consecutive_failures(None);
    let mut world = World::new(settings.clone());
    assert_eq!(world.until_failing([true; 30]), Some(20));
    let mut world = World::new(settings.clone());
    let half = [false, true].into_iter().cycle().take(1000);
    assert_eq!(
        world.until_failing(half),
        None,
        "half is not more than half"
    );
    let mut world = World::new(settings);
    let more = [true, true, false].into_iter().cycle().take(1000);
    assert_eq!(world.until_failing(more), Some(20));
    let mut world = World::new(Ejection::off());
    assert_eq!(world.until_failing([true; 1000]), None);
}

#[test]
fn what_is_older_than_ten_seconds_does_not_count() {
    let settings = Ejection::default().consecutive_failures(None);
    let mut world = World::new(settings.clone());
    assert_eq!(world.until_failing([true; 19]), None);
    world.wait(milliseconds(9_900));
    assert_eq!(world.call(true), Finding::Failing, "the twentieth in time");
    let mut world = World::new(settings.clone());
    assert_eq!(world.until_failing([true; 19]), None);
    world.wait(milliseconds(10_000));
    assert_eq!(
        world.call(true),
        Finding::Nothing,
        "the first of its window"
    );
    assert_eq!(world.until_failing([true; 19]), Some(19));
    // Nor does a long time without calls confuse it.
    let mut world = World::new(settings);
    assert_eq!(world.until_failing([false; 100]), None);
    world.wait(Duration::from_secs(86_400));
    assert_eq!(world.until_failing([true; 30]), Some(20));
}

#[test]
fn a_probe_goes_to_an_ejected_endpoint_every_five_seconds() {
    let mut world = World::new(Ejection::default());
    world.eject();
    assert_eq!(world.wait(milliseconds(4_999)).probe(Some(false)), None);
    world.wait(milliseconds(1));
    let first = world.health.try_probe(&world.settings, world.now).unwrap();
    assert_eq!(world.probe(Some(false)), None, "one at a time");
    assert!(!world.health.probe_ended(first, Some(true)));
    assert_eq!(world.wait(milliseconds(4_999)).probe(Some(false)), None);
    // One without a result changes nothing either.
    assert_eq!(world.wait(milliseconds(1)).probe(None), Some(false));
    assert_eq!(
        world.wait(milliseconds(5_000)).probe(Some(false)),
        Some(true)
    );
}

#[test]
fn a_probe_that_is_lost_holds_up_nothing() {
    let mut world = World::new(Ejection::default());
    world.eject();
    world.wait(milliseconds(5_000));
    let lost = world.health.try_probe(&world.settings, world.now).unwrap();
    world.wait(milliseconds(5_000));
    let next = world.health.try_probe(&world.settings, world.now).unwrap();
    assert!(!world.health.probe_ended(lost, Some(false)), "too late");
    assert!(world.health.probe_ended(next, Some(false)));
}

#[test]
fn a_new_connection_is_a_reason_to_probe() {
    let mut world = World::new(Ejection::default());
    world.eject();
    world.wait(milliseconds(100));
    world.health.reconnected(world.now);
    assert_eq!(world.probe(Some(false)), Some(true));
}

#[test]
fn what_began_before_the_ejection_counts_for_nothing() {
    let mut world = World::new(Ejection::default());
    world.eject();
    assert_eq!(world.until_failing([true; 100]), None);
    assert_eq!(world.call(false), Finding::Nothing);
    assert!(world.health.ejected_since().is_some());
    world.restore();
    assert_eq!(world.until_failing([true; 10]), Some(5), "it begins anew");
}

#[test]
fn each_time_in_a_row_the_return_takes_longer() {
    let mut world = World::new(Ejection::default());
    for times in 1..=20 {
        world.eject();
        assert_eq!(world.health.times(&world.settings, world.now), times);
        world.wait(milliseconds(5_000));
        let seconds = (u64::from(times) * 5).min(60);
        assert_eq!(world.restore(), Duration::from_secs(seconds), "{times}");
        world.wait(milliseconds(4_999));
    }
    // Every 5 s that go well take one back.
    world.wait(milliseconds(1 + 17 * 5_000));
    assert_eq!(world.health.times(&world.settings, world.now), 2);
    world.eject();
    assert_eq!(world.restore(), Duration::from_secs(15));
}

#[test]
fn latency_stands_out_among_many() {
    let settings = Ejection::default().latency_factor(3.0);
    let slow = |mean: u64, all: &[u64]| {
        let mut all: Vec<_> = all.iter().copied().map(milliseconds).collect();
        settings.is_slow(milliseconds(mean), &mut all)
    };
    assert!(slow(31, &[10, 31, 10]));
    assert!(!slow(30, &[10, 30, 10]));
    assert!(!slow(100, &[10, 100]), "two are too few to say");
    assert!(
        !slow(1, &[0, 1, 0, 0, 0]) || slow(1, &[0, 1, 0]),
        "1 ms is noticed"
    );
    let mut all = [10, 11, 900].map(Duration::from_micros);
    assert!(
        !settings.is_slow(all[2], &mut all),
        "less than 1 ms is noise"
    );
    let mut all = [milliseconds(1), milliseconds(1), milliseconds(900)];
    assert!(
        !Ejection::default().is_slow(all[2], &mut all),
        "off by default"
    );
}

#[test]
fn latency_is_compared_once_a_second() {
    let mut world = World::new(Ejection::default().latency_factor(3.0));
    for _ in 0..19 {
        assert_eq!(world.call(false), Finding::Nothing);
    }
    assert_eq!(world.health.mean_latency(&world.settings, world.now), None);
    assert_eq!(
        world.wait(milliseconds(1_000)).call(false),
        Finding::Comparable
    );
    assert_eq!(world.call(false), Finding::Nothing);
    let mean = world.health.mean_latency(&world.settings, world.now);
    assert_eq!(mean, Some(FAST));
    world.wait(milliseconds(10_000));
    assert_eq!(world.health.mean_latency(&world.settings, world.now), None);
    let mut world = World::new(Ejection::default());
    assert_eq!(
        world.wait(milliseconds(1_000)).call(false),
        Finding::Nothing
    );
}

proptest! {
    /// An endpoint that is well again has returned 6 s later, whatever was before, if calls come every 100 ms.
    #[test]
    fn a_healed_endpoint_is_back_within_six_seconds(
        ejections in 0u32..30,
        ailing in 0u64..200,
        probe_takes in 0u64..400,
    ) {
        let mut world = World::new(Ejection::default());
        for _ in 0..ejections {
            world.eject();
            world.restore();
        }
        world.eject();
        let healed = world.start + milliseconds(ailing * 100);
        let mut under_way = Vec::new();
        let back = (0..400).find_map(|_| {
            let now = world.now;
            let probe = world.health.try_probe(&world.settings, now);
            under_way.extend(probe.map(|probe| (probe, now, now + milliseconds(probe_takes))));
            let health = &mut world.health;
            let mut back = false;
            under_way.retain(|(probe, begun, end)| {
                let ended = *end <= now;
                back |= ended && health.probe_ended(*probe, Some(*begun < healed));
                !ended
            });
            world.wait(milliseconds(100));
            back.then_some(now)
        });
        let back = back.expect("it returns");
        prop_assert!(back >= healed);
        prop_assert!(back <= healed + milliseconds(6_000));
    }

    /// Between two probes there are 5 s, and no call is one without an ejection.
    #[test]
    fn probes_are_rare(steps in prop::collection::vec((0u64..3_000, 0u8..4), 1..200)) {
        let mut world = World::new(Ejection::default());
        let mut last: Option<Instant> = None;
        for (pause, what) in steps {
            world.wait(milliseconds(pause));
            match what {
                0 => {
                    if world.health.ejected_since().is_none() {
                        last = Some(world.now);
                    }
                    world.eject();
                }
                1 if world.health.ejected_since().is_some() => {
                    world.restore();
                }
                _ => {
                    let out = world.health.ejected_since().is_some();
                    if world.probe(Some(what == 2)).is_some() {
                        prop_assert!(out);
                        let since = world.now - last.unwrap();
                        prop_assert!(since >= milliseconds(5_000));
                        last = Some(world.now);
                    }
                }
            }
        }
    }
}
