use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::adaptive::Adaptive;

/// A server in virtual time: workers that take calls in the order in which they came.
struct Simulation {
    limiter: Adaptive,
    begun: Instant,
    /// Time in microseconds.
    now: u64,
    workers: usize,
    service: u64,
    waiting: VecDeque<u64>,
    /// When a call that is worked on ends, and when it came.
    working: BinaryHeap<Reverse<(u64, u64)>>,
    next_arrival: u64,
    random: u64,
}

/// What came of a while.
#[derive(Debug, Default)]
struct Outcome {
    arrived: usize,
    answered: usize,
    refused: usize,
    times: Vec<u64>,
}

impl Outcome {
    fn percentile(&mut self, percent: usize) -> u64 {
        self.times.sort_unstable();
        self.times[self.times.len() * percent / 100]
    }
}

impl Simulation {
    fn new(workers: usize, service: Duration, min: usize) -> Self {
        let begun = Instant::now();
        Self {
            limiter: Adaptive::new(min, 10_000, begun),
            begun,
            now: 0,
            workers,
            service: service.as_micros() as u64,
            waiting: VecDeque::new(),
            working: BinaryHeap::new(),
            next_arrival: 0,
            random: 7,
        }
    }

    /// From 0 to 1, and never 0.
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Calls a second that the workers can answer.
    fn capacity(&self) -> f64 {
        self.workers as f64 * 1e6 / self.service as f64
    }

    fn in_progress(&self) -> usize {
        self.waiting.len() + self.working.len()
    }

    fn work(&mut self) {
        while self.working.len() < self.workers
            && let Some(came) = self.waiting.pop_front()
        {
            let varied = 0.5 + self.random();
            let ends = self.now + (self.service as f64 * varied) as u64;
            self.working.push(Reverse((ends, came)));
        }
    }

    /// Calls come at random, so many a second on average.
    fn run(&mut self, rate: f64, length: Duration) -> Outcome {
        let until = self.now + length.as_micros() as u64;
        let mut outcome = Outcome::default();
        self.next_arrival = self.next_arrival.max(self.now);
        loop {
            let ends = self.working.peek().map_or(u64::MAX, |next| next.0.0);
            if ends.min(self.next_arrival) >= until {
                self.now = until;
                return outcome;
            }
            if ends <= self.next_arrival {
                self.now = ends;
                let in_progress = self.in_progress();
                let Some(Reverse((_, came))) = self.working.pop() else {
                    continue;
                };
                let took = Duration::from_micros(self.now - came);
                let now = self.begun + Duration::from_micros(self.now);
                self.limiter.ended(0, took, in_progress, now);
                outcome.answered += 1;
                outcome.times.push(self.now - came);
            } else {
                self.now = self.next_arrival;
                let pause = -self.random().ln() * 1e6 / rate;
                self.next_arrival = self.now + pause.max(1.0) as u64;
                outcome.arrived += 1;
                if self.in_progress() < self.limiter.limit() {
                    self.waiting.push_back(self.now);
                } else {
                    outcome.refused += 1;
                }
            }
            self.work();
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn the_limit_follows_the_capacity_of_a_server_that_is_overloaded() {
    for (workers, service) in [(2, ms(1)), (8, ms(10)), (64, ms(50)), (500, ms(200))] {
        let mut simulation = Simulation::new(workers, service, 4);
        let capacity = simulation.capacity();
        simulation.run(3.0 * capacity, 30 * SECOND);
        let mut outcome = simulation.run(3.0 * capacity, 60 * SECOND);
        let goodput = outcome.answered as f64 / 60.0 / capacity;
        assert!(goodput > 0.9, "{workers} workers: {goodput}");
        let limit = simulation.limiter.limit();
        let most = (4 * workers).max(16);
        assert!((workers..=most).contains(&limit), "{workers}: {limit}");
        // Those that are let in wait for a few others at most.
        let slow = outcome.percentile(99) as f64 / simulation.service as f64;
        assert!(
            slow < 8.0,
            "{workers} workers: {slow} times the service time"
        );
    }
}

#[test]
fn an_overload_is_over_when_its_cause_is() {
    let mut simulation = Simulation::new(8, ms(10), 4);
    let capacity = simulation.capacity();
    simulation.run(0.7 * capacity, 20 * SECOND);
    let overloaded = simulation.run(3.0 * capacity, 60 * SECOND);
    assert!(overloaded.refused > overloaded.answered);
    simulation.run(0.7 * capacity, 5 * SECOND);
    let mut after = simulation.run(0.7 * capacity, 60 * SECOND);
    assert!(after.refused * 1000 < after.arrived, "{}", after.refused);
    assert!(after.percentile(99) < 40_000, "{}", after.percentile(99));
}

#[test]
fn a_server_that_is_not_overloaded_refuses_nothing() {
    let mut simulation = Simulation::new(500, ms(100), 4);
    let capacity = simulation.capacity();
    // It begins with 32, and has to learn that it can do much more.
    simulation.run(0.1 * capacity, 2 * SECOND);
    simulation.run(0.5 * capacity, 3 * SECOND);
    let outcome = simulation.run(0.5 * capacity, 60 * SECOND);
    assert!(
        outcome.refused * 1000 < outcome.arrived,
        "{}",
        outcome.refused
    );
}

#[test]
fn a_slow_dependency_does_not_shrink_the_limit_of_a_server_without_load() {
    let mut simulation = Simulation::new(10_000, ms(5), 4);
    simulation.run(1000.0, 20 * SECOND);
    let before = simulation.limiter.limit();
    assert!(before >= 32);
    simulation.service = 50_000;
    // 5 are in progress: fewer than half of the limit.
    let slow = simulation.run(100.0, 30 * SECOND);
    assert_eq!(slow.refused, 0);
    assert_eq!(simulation.limiter.limit(), before);
}

#[test]
fn calls_that_take_longer_for_good_are_let_in_again() {
    let mut simulation = Simulation::new(10_000, ms(5), 4);
    simulation.run(10_000.0, 20 * SECOND);
    // Not the server is the bottleneck: all can be in progress at a time.
    simulation.service = 20_000;
    simulation.run(10_000.0, 40 * SECOND);
    let after = simulation.run(10_000.0, 20 * SECOND);
    assert!(
        after.refused * 50 < after.arrived,
        "{} refused",
        after.refused
    );
}

#[test]
fn another_mixture_of_calls_is_no_queue() {
    let begun = Instant::now();
    let mut limiter = Adaptive::new(4, 10_000, begun);
    let mut now = begun;
    let mut run = |limiter: &mut Adaptive, slow: usize| {
        for call in 0..2000 {
            now += ms(1);
            let (route, took) = match call % 10 < slow {
                true => (1, ms(100)),
                false => (0, ms(1)),
            };
            limiter.ended(route, took, limiter.limit(), now);
        }
        limiter.limit()
    };
    let few = run(&mut limiter, 1);
    let many = run(&mut limiter, 9);
    assert!(many >= few, "{few}, then {many}");
}

#[test]
fn the_limit_stays_within_its_bounds() {
    let begun = Instant::now();
    let mut limiter = Adaptive::new(6, 40, begun);
    assert_eq!(limiter.limit(), 40);
    let mut now = begun;
    for call in 0..20_000 {
        now += ms(1);
        limiter.ended(0, ms(1), 40, now);
        assert!((6..=40).contains(&limiter.limit()), "after {call} calls");
    }
    for call in 0..5000 {
        now += ms(1);
        limiter.ended(0, ms(1000), 40, now);
        assert!(
            (6..=40).contains(&limiter.limit()),
            "after {call} slow calls"
        );
    }
    assert_eq!(limiter.limit(), 6);
}
