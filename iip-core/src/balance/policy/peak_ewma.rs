use std::sync::Arc;
use std::time::Instant;

use crate::balance::dice::Dice;
use crate::balance::draw::Draw;
use crate::balance::{Endpoint, Pick, Picker, Policy};

/// Of two endpoints that are drawn at random by weight, the one at which a call is likely to end first: its latency times
/// the calls it would then have, in proportion to its weight. If they are equal, the one drawn first.
///
/// The latency is [`Endpoint::latency`], a peak-sensitive moving average: a single slow answer is enough for an endpoint to
/// be avoided, and it comes back as it proves to be fast again. An endpoint that was not heard of for long, because it is
/// avoided, is taken to be more and more like the one it is compared with, within some 10 s; so it is tried with a call now
/// and then. One without any measurement is taken to be like the other at once, so that a new endpoint gets as many
/// calls as an average one, and not all of them.
///
/// Weights say how often an endpoint is drawn and how many calls are many for it. Where endpoints differ in speed besides,
/// the faster ones get more than their weight.
#[derive(Clone, Debug, Default)]
pub struct PeakEwma {
    seed: Option<u64>,
}

impl PeakEwma {
    /// Random numbers from a seed, for tests and simulations: the same calls are placed in the same way each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Policy for PeakEwma {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        let weight = |endpoint: &Arc<Endpoint>| f32::from(endpoint.weight().get());
        let total: f32 = endpoints.iter().map(weight).sum();
        let average = total / endpoints.len() as f32;
        let candidate = |endpoint: &Arc<Endpoint>| Candidate {
            endpoint: Arc::clone(endpoint),
            weight: weight(endpoint) / average,
        };
        Box::new(PeakEwmaPicker {
            candidates: endpoints.iter().map(candidate).collect(),
            draw: Draw::new(endpoints),
            dice: Dice::new(self.seed),
        })
    }
}

struct PeakEwmaPicker {
    candidates: Vec<Candidate>,
    draw: Draw,
    dice: Dice,
}

struct Candidate {
    endpoint: Arc<Endpoint>,
    /// 1 for the average one.
    weight: f32,
}

impl Picker for PeakEwmaPicker {
    fn pick(&self, pick: &Pick) -> Option<usize> {
        let (first, second) = self.draw.two(&self.dice)?;
        let (one, other) = (self.candidates.get(first)?, self.candidates.get(second)?);
        let better = other.is_better_than(one, pick.now());
        Some(if better { second } else { first })
    }
}

impl Candidate {
    /// Whether a call is likely to end sooner than at the other one; if that is equal, it is not.
    fn is_better_than(&self, other: &Self, now: Instant) -> bool {
        let (own_load, other_load) = (self.load(), other.load());
        let measured = (self.endpoint.average(), other.endpoint.average());
        match measured {
            (Some(own), Some(others)) if own < others => {
                own * own_load < other.expected(others, own, now) * other_load
            }
            (Some(own), Some(others)) if own > others => {
                self.expected(own, others, now) * own_load < others * other_load
            }
            // What is unknown is taken to be like the other.
            _ => own_load < other_load,
        }
    }

    /// Grows with the calls in flight. The weight has its effect on which two are drawn; here it only says how many calls
    /// are many: idle endpoints cost the same whatever their weight.
    fn load(&self) -> f32 {
        self.endpoint.in_flight() as f32 / self.weight + 1.0
    }

    /// The latency to expect, beside an endpoint that is faster: what of the measurement cannot be trusted any more counts
    /// as the other's.
    fn expected(&self, slower: f32, faster: f32, now: Instant) -> f32 {
        faster + (slower - faster) * self.endpoint.trust(now)
    }
}
