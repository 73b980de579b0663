use std::sync::{Arc, Mutex, PoisonError};

use crate::balance::{Endpoint, EndpointId, Pick, Picker, Policy};

/// The first endpoint of the list that can take calls, for all calls, until it cannot any more. Weights mean nothing.
///
/// It sticks: an endpoint that stood in for an earlier one goes on when that one is back, so that state which a server
/// keeps for its callers moves as seldom as can be. Further attempts of a call go through the list.
///
/// It suits a leader with stand-ins, and several addresses of one server.
#[derive(Debug, Default)]
pub struct PickFirst {
    /// The endpoint that got the calls last.
    current: Mutex<Option<EndpointId>>,
}

impl Policy for PickFirst {
    fn picker(&self, endpoints: &[Arc<Endpoint>]) -> Box<dyn Picker> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |endpoint: &Arc<Endpoint>| Some(endpoint.id()) == *current;
        let first = endpoints.iter().position(is_current).unwrap_or(0);
        if let Some(endpoint) = endpoints.get(first) {
            *current = Some(endpoint.id());
        }
        Box::new(PickFirstPicker {
            first,
            count: endpoints.len(),
        })
    }

    fn one_at_a_time(&self) -> bool {
        true
    }
}

struct PickFirstPicker {
    first: usize,
    count: usize,
}

impl Picker for PickFirstPicker {
    fn pick(&self, pick: &Pick) -> Option<usize> {
        let attempt = (pick.attempt() as usize).checked_rem(self.count)?;
        // After the first one come the others in the order of the list.
        Some(match attempt {
            0 => self.first,
            _ if attempt <= self.first => attempt - 1,
            _ => attempt,
        })
    }
}
