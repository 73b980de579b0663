//! Spreads calls over many endpoints.

mod endpoint;
mod latency;
mod pick;
mod target;
mod weight;

pub use endpoint::{Endpoint, EndpointId, InFlight};
pub use pick::{Pick, Picker, Policy};
pub use target::{Target, Targets, TargetsError};
pub use weight::{Weight, WeightError};
