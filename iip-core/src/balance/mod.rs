//! Spreads calls over many endpoints.

mod dice;
mod draw;
mod endpoint;
mod latency;
mod pick;
mod policy;
mod published;
mod ring;
mod target;
mod weight;

#[cfg(test)]
mod draw_tests;
#[cfg(test)]
mod endpoint_tests;
#[cfg(test)]
mod latency_tests;
#[cfg(test)]
mod published_tests;
#[cfg(test)]
mod rig_tests;
#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod target_tests;
#[cfg(test)]
mod weight_tests;

pub use endpoint::{Endpoint, EndpointId, InFlight};
pub use pick::{Pick, Picker, Policy};
pub use policy::{ConsistentHash, LeastPending, PeakEwma, PickFirst, Random, RoundRobin};
pub use target::{Target, Targets, TargetsError};
pub use weight::{Weight, WeightError};
