use std::sync::Arc;

use crate::balance::dice::Dice;
use crate::balance::draw::Draw;
use crate::balance::{Endpoint, Pick, Picker, Policy};

/// At random, in proportion to the weights.
///
/// It shares nothing between threads. Like [`RoundRobin`](crate::balance::RoundRobin) it takes no notice of how endpoints
/// fare, and it is less even: now and then one gets several calls in a row.
#[derive(Clone, Debug, Default)]
pub struct Random {
    seed: Option<u64>,
}

impl Random {
    /// Random numbers from a seed, for tests and simulations: the same calls are placed in the same way each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Policy for Random {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        Box::new(RandomPicker {
            draw: Draw::new(endpoints),
            dice: Dice::new(self.seed),
        })
    }
}

struct RandomPicker {
    draw: Draw,
    dice: Dice,
}

impl Picker for RandomPicker {
    fn pick(&self, _: &Pick) -> Option<usize> {
        self.draw.one(&self.dice)
    }
}
