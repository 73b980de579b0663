use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::balance::dice::{Dice, below};
use crate::balance::{Endpoint, Pick, Picker, Policy};

/// Weighted round robin: in each round every endpoint gets as many calls as its weight says, exactly, spread evenly over
/// the round.
///
/// Each picker begins at a place, and goes round in an order, of its own, so that many clients do not visit the same
/// endpoint at the same time.
///
/// It takes no notice of how endpoints fare: one that has become slow gets its share all the same, and then holds up that
/// share of the calls. It suits endpoints of known capacity and calls that cost about the same.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    seed: Option<u64>,
}

impl RoundRobin {
    /// Random numbers from a seed, for tests and simulations: the same calls are placed in the same way each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Policy for RoundRobin {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        let dice = Dice::new(self.seed);
        let round = round(endpoints, &dice);
        let start = below(dice.roll() >> 32, round.len());
        Box::new(RoundRobinPicker {
            round,
            next: AtomicUsize::new(start),
        })
    }
}

struct RoundRobinPicker {
    /// One round, by index.
    round: Vec<u32>,
    next: AtomicUsize,
}

impl Picker for RoundRobinPicker {
    fn pick(&self, _: &Pick) -> Option<usize> {
        if self.round.is_empty() {
            return None;
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let index = self.round.get(next % self.round.len())?;
        Some(*index as usize)
    }
}

/// Of weight w, the turns are in the middle of each w-th of the round. Those at the same time are in a random order.
fn round(endpoints: &[Arc<Endpoint>], dice: &Dice) -> Vec<u32> {
    let weight = |index: u32| endpoints[index as usize].weight().get();
    let mut order: Vec<u32> = (0..endpoints.len() as u32).collect();
    dice.shuffle(&mut order);
    let shared = order.iter().map(|&index| weight(index)).fold(0, divisor);
    let mut turns: Vec<(f64, u32)> = Vec::new();
    for index in order {
        let count = weight(index) / shared;
        let middle = |turn| (f64::from(turn) + 0.5) / f64::from(count);
        turns.extend((0..count).map(|turn| (middle(turn), index)));
    }
    turns.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    turns.into_iter().map(|(_, index)| index).collect()
}

/// The greatest that divides both; the other one where one is 0.
fn divisor(a: u8, b: u8) -> u8 {
    match b {
        0 => a,
        _ => divisor(b, a % b),
    }
}
