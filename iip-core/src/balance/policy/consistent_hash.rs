use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::balance::dice::{Dice, below};
use crate::balance::draw::Draw;
use crate::balance::ring::Ring;
use crate::balance::{Endpoint, Pick, Picker, Policy};

/// Points of the ring that are looked at for one call, before all endpoints are looked at. Four of five points may belong to
/// endpoints without room, when the load factor is the default: that all of these do happens once in 10^12 calls.
const STEPS_MAX: usize = 128;

/// Further attempts that each go to another endpoint.
const ATTEMPTS_MAX: usize = 7;

/// On how many endpoints one call looks, on average, to know how many calls are in flight at all of them.
const LOOKED_AT: usize = 8;

/// By a key of the call ([`Pick::with_key`]): calls with the same key go to the same endpoint, so that what it keeps in
/// memory for that key is of use. Calls without a key are placed at random, by weight.
///
/// It is a hash ring. Where one of n endpoints goes, its keys spread over the others and no other key moves; where one
/// comes, it takes 1/n of the keys. (Where weights differ, further keys move: at most the part by which the average weight
/// changes.) All processes with the same list agree on it, in whatever order the list is.
///
/// The load is bounded: a key that is asked for so often that its endpoint would have more than
/// [`load_factor`](Self::load_factor) times its share of all calls in flight goes on along the ring, to the first endpoint
/// that has room. A further attempt goes on along the ring too.
#[derive(Clone, Debug)]
pub struct ConsistentHash {
    load_factor: f64,
    seed: Option<u64>,
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self {
            load_factor: 1.25,
            seed: None,
        }
    }
}

impl ConsistentHash {
    /// How many times its share of the calls in flight an endpoint may have; default 1.25, at least 1. Less is more even;
    /// more keeps more keys where they belong. [`f64::INFINITY`] lets every key go where it belongs.
    #[must_use]
    pub fn load_factor(mut self, factor: f64) -> Self {
        // NaN becomes 1.
        self.load_factor = factor.max(1.0);
        self
    }

    /// Random numbers from a seed, for tests and simulations: the same calls are placed in the same way each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Policy for ConsistentHash {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        let weight = |endpoint: &Arc<Endpoint>| f64::from(endpoint.weight().get());
        let total: f64 = endpoints.iter().map(weight).sum();
        let candidate = |endpoint: &Arc<Endpoint>| Candidate {
            endpoint: Arc::clone(endpoint),
            most: (self.load_factor * weight(endpoint) / total) as f32,
        };
        Box::new(ConsistentHashPicker {
            candidates: endpoints.iter().map(candidate).collect(),
            ring: Ring::new(endpoints),
            draw: Draw::new(endpoints),
            dice: Dice::new(self.seed),
            in_flight: AtomicUsize::new(0),
        })
    }
}

struct ConsistentHashPicker {
    candidates: Vec<Candidate>,
    ring: Ring,
    draw: Draw,
    dice: Dice,
    /// Calls in flight at all endpoints, when they were last counted.
    in_flight: AtomicUsize,
}

struct Candidate {
    endpoint: Arc<Endpoint>,
    /// The part of all calls in flight that it may have.
    most: f32,
}

impl Candidate {
    /// Whether it may have another call, which is among these in flight.
    fn has_room(&self, in_flight: f32) -> bool {
        (self.endpoint.in_flight() as f32) < self.most * in_flight
    }
}

impl Picker for ConsistentHashPicker {
    fn pick(&self, pick: &Pick) -> Option<usize> {
        let by_key = pick
            .key()
            .and_then(|key| self.along_the_ring(key, pick.attempt()));
        by_key.or_else(|| self.draw.one(&self.dice))
    }
}

impl ConsistentHashPicker {
    fn along_the_ring(&self, key: u64, attempt: u32) -> Option<usize> {
        let with_this_one = (self.in_flight() + 1) as f32;
        let has_room = |index: usize| {
            let candidate = self.candidates.get(index);
            candidate.is_some_and(|candidate| candidate.has_room(with_this_one))
        };
        let mut passed = Passed::default();
        let count = self.candidates.len().max(1);
        let skip = (attempt as usize % count).min(ATTEMPTS_MAX);
        for index in self.ring.owners(key).take(STEPS_MAX) {
            if !has_room(index) || passed.contains(index) {
                continue;
            }
            if passed.count == skip {
                return Some(index);
            }
            passed.add(index);
        }
        // Hardly any has room: whichever has.
        let start = key as usize % count;
        let mut all = (start..count).chain(0..start);
        all.find(|&index| has_room(index) && !passed.contains(index))
    }

    /// Calls in flight at all endpoints, as of a few calls ago: to look at each endpoint for each call would take too long
    /// where there are many, and what changes meanwhile is small beside what they have together.
    fn in_flight(&self) -> usize {
        let count = self.candidates.len();
        if count > LOOKED_AT && below(self.dice.roll() >> 32, count) >= LOOKED_AT {
            return self.in_flight.load(Ordering::Relaxed);
        }
        let each = self.candidates.iter();
        let sum = each.map(|candidate| candidate.endpoint.in_flight()).sum();
        self.in_flight.store(sum, Ordering::Relaxed);
        sum
    }
}

/// The endpoints of earlier attempts.
#[derive(Default)]
struct Passed {
    indices: [usize; ATTEMPTS_MAX],
    count: usize,
}

impl Passed {
    fn contains(&self, index: usize) -> bool {
        self.indices
            .iter()
            .take(self.count)
            .any(|&passed| passed == index)
    }

    fn add(&mut self, index: usize) {
        if let Some(free) = self.indices.get_mut(self.count) {
            *free = index;
            self.count += 1;
        }
    }
}
