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

pub use endpoint::{Endpoint, EndpointId, InFlight};
pub use pick::{Pick, Picker, Policy};
pub use policy::{ConsistentHash, LeastPending, PeakEwma, PickFirst, Random, RoundRobin};
pub use target::{Target, Targets, TargetsError};
pub use weight::{Weight, WeightError};
