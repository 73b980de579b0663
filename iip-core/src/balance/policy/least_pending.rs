use std::sync::Arc;

use crate::balance::dice::Dice;
use crate::balance::draw::Draw;
use crate::balance::{Endpoint, Pick, Picker, Policy};

/// Of two endpoints that are drawn at random by weight, the one with fewer calls in flight in proportion to its weight; if
/// they are equal, the one drawn first.
///
/// A slow endpoint keeps its calls longer, so it is given fewer: no measurement is needed, and none can be wrong. What
/// counts are the calls of this process, so the more of them it has under way, the better it chooses.
///
/// Two and not all: the best of all would be the same one for every client until their calls arrive there.
#[derive(Clone, Debug, Default)]
pub struct LeastPending {
    seed: Option<u64>,
}

impl LeastPending {
    /// Random numbers from a seed, for tests and simulations: the same calls are placed in the same way each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Policy for LeastPending {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        Box::new(LeastPendingPicker {
            endpoints: endpoints.to_vec(),
            draw: Draw::new(endpoints),
            dice: Dice::new(self.seed),
        })
    }
}

struct LeastPendingPicker {
    endpoints: Vec<Arc<Endpoint>>,
    draw: Draw,
    dice: Dice,
}

impl Picker for LeastPendingPicker {
    fn pick(&self, _: &Pick) -> Option<usize> {
        let (first, second) = self.draw.two(&self.dice)?;
        let (one, other) = (self.endpoints.get(first)?, self.endpoints.get(second)?);
        match pending(other, one) < pending(one, other) {
            true => Some(second),
            false => Some(first),
        }
    }
}

/// Calls in flight in proportion to the weight, times both weights.
fn pending(endpoint: &Endpoint, other: &Endpoint) -> usize {
    let weight = usize::from(other.weight().get());
    endpoint.in_flight().saturating_mul(weight)
}
