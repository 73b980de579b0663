//! Many clients and many servers in virtual time.
//!
//! Calls come at random times (a Poisson process), each from a random client. Each client has a picker and counts of its
//! own, as a process has that knows nothing of the others. A server does a number of things at a time, and what is beyond
//! that waits there in the order in which it came. All that is random comes from the seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iip_core::balance::{Endpoint, InFlight, Pick, Picker, Policy, Target, Weight};

/// How long a call takes a server of average speed on average, without waiting.
const SERVICE: f64 = 0.010;

/// Each call has one of as many keys, of which none is more frequent than another.
const KEYS: u64 = 10_000;

/// What is simulated.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    /// One for each server: how many times longer a call takes there.
    pub(crate) slowness: Vec<f64>,
    /// One for each server.
    pub(crate) weights: Vec<u8>,
    /// Calls that a server works on at a time.
    pub(crate) workers: usize,
    pub(crate) clients: usize,
    /// The part of what the fleet could do, were all its servers of average speed.
    pub(crate) load: f64,
    pub(crate) service: Service,
    /// From then on all servers are of average speed.
    pub(crate) heals: Option<Duration>,
    pub(crate) calls: usize,
    pub(crate) seed: u64,
}

/// How the cost of calls is spread around its average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Not at all.
    Fixed,
    Exponential,
    /// One call of fifty takes ten times as long as the others.
    Mixed,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of all calls, the shortest first.
    latencies: Vec<Duration>,
    /// Calls by server.
    pub(crate) calls: Vec<usize>,
    /// Calls of the last quarter by server.
    pub(crate) last: Vec<usize>,
}

impl Fleet {
    /// Runs until every call has its answer. `policy` makes one from a seed, for each client.
    pub(crate) fn run(&self, policy: &dyn Fn(u64) -> Arc<dyn Policy>) -> Outcome {
        let mut world = World::new(self, policy);
        world.run();
        world.outcome.latencies.sort_unstable();
        world.outcome
    }
}

impl Outcome {
    /// The latency that so many of a hundred calls do not exceed.
    pub(crate) fn percentile(&self, percentile: f64) -> Duration {
        let rank = (self.latencies.len() as f64 * percentile / 100.0).ceil() as usize;
        self.latencies[rank.clamp(1, self.latencies.len()) - 1]
    }

    /// The part of the calls that a server got.
    pub(crate) fn share(&self, server: usize) -> f64 {
        self.calls[server] as f64 / self.latencies.len() as f64
    }
}

struct World<'a> {
    fleet: &'a Fleet,
    random: fastrand::Rng,
    start: Instant,
    now: Duration,
    clients: Vec<Client>,
    servers: Vec<Server>,
    /// Calls that servers have begun with.
    begun: usize,
    /// What ends, the next first.
    ends: BinaryHeap<Reverse<End>>,
    outcome: Outcome,
}

struct Client {
    endpoints: Vec<Arc<Endpoint>>,
    picker: Box<dyn Picker>,
}

#[derive(Default)]
struct Server {
    working: usize,
    waiting: VecDeque<Call>,
}

struct Call {
    began: Duration,
    in_flight: InFlight,
}

struct End {
    at: Duration,
    /// Tells calls apart that end at the same time.
    number: usize,
    server: usize,
    call: Call,
}

impl<'a> World<'a> {
    fn new(fleet: &'a Fleet, policy: &dyn Fn(u64) -> Arc<dyn Policy>) -> Self {
        let client = |number| {
            let endpoints = endpoints(&fleet.weights);
            let policy = policy(fleet.seed * 1000 + number);
            let picker = policy.picker(&endpoints);
            Client { endpoints, picker }
        };
        Self {
            fleet,
            random: fastrand::Rng::with_seed(fleet.seed),
            start: Instant::now(),
            now: Duration::ZERO,
            clients: (0..fleet.clients as u64).map(client).collect(),
            servers: fleet.slowness.iter().map(|_| Server::default()).collect(),
            begun: 0,
            ends: BinaryHeap::new(),
            outcome: Outcome {
                latencies: Vec::with_capacity(fleet.calls),
                calls: vec![0; fleet.slowness.len()],
                last: vec![0; fleet.slowness.len()],
            },
        }
    }

    fn run(&mut self) {
        let servers = self.fleet.slowness.len() * self.fleet.workers;
        let gap = SERVICE / servers as f64 / self.fleet.load;
        let mut next = Duration::ZERO;
        for number in 0..self.fleet.calls {
            next += Duration::from_secs_f64(gap * self.exponential());
            self.until(next);
            self.now = next;
            self.call(number);
        }
        self.until(Duration::MAX);
    }

    /// Everything that ends until then.
    fn until(&mut self, then: Duration) {
        while let Some(Reverse(end)) = self.ends.pop() {
            if end.at > then {
                self.ends.push(Reverse(end));
                return;
            }
            self.now = end.at;
            self.end(end);
        }
    }

    fn call(&mut self, number: usize) {
        let client = &self.clients[self.random.usize(..self.clients.len())];
        let key = self.random.u64(..KEYS);
        let pick = Pick::new(self.start + self.now).with_key(key);
        let server = client.picker.pick(&pick).expect("there are servers");
        self.outcome.calls[server] += 1;
        if number >= self.fleet.calls * 3 / 4 {
            self.outcome.last[server] += 1;
        }
        let call = Call {
            began: self.now,
            in_flight: client.endpoints[server].begin_call(),
        };
        if self.servers[server].working < self.fleet.workers {
            self.work(server, call);
        } else {
            self.servers[server].waiting.push_back(call);
        }
    }

    fn work(&mut self, server: usize, call: Call) {
        let cost = match self.fleet.service {
            Service::Fixed => 1.0,
            Service::Exponential => self.exponential(),
            // On average 1.
            Service::Mixed if self.random.u8(..50) == 0 => 10.0 / 1.18,
            Service::Mixed => 1.0 / 1.18,
        };
        let slowness = match self.fleet.heals {
            Some(heals) if self.now >= heals => 1.0,
            _ => self.fleet.slowness[server],
        };
        let takes = Duration::from_secs_f64(SERVICE * cost * slowness);
        self.servers[server].working += 1;
        self.begun += 1;
        self.ends.push(Reverse(End {
            at: self.now + takes,
            number: self.begun,
            server,
            call,
        }));
    }

    fn end(&mut self, end: End) {
        let latency = self.now - end.call.began;
        let endpoint = end.call.in_flight.endpoint();
        endpoint.record_latency(latency, self.start + self.now);
        self.outcome.latencies.push(latency);
        let server = &mut self.servers[end.server];
        server.working -= 1;
        if let Some(call) = server.waiting.pop_front() {
            self.work(end.server, call);
        }
    }

    /// On average 1.
    fn exponential(&mut self) -> f64 {
        -(1.0 - self.random.f64()).ln()
    }
}

fn endpoints(weights: &[u8]) -> Vec<Arc<Endpoint>> {
    let numbered = weights.iter().enumerate();
    numbered
        .map(|(index, &weight)| {
            let target: Target = format!("memory://server-{index}")
                .parse()
                .expect("a target");
            let weight = Weight::new(weight).expect("a weight");
            Endpoint::new(target.with_weight(weight))
        })
        .collect()
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for End {}
