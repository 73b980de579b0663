//! Spreads calls over many endpoints.

mod balancer;
mod builder;
mod call;
mod dice;
mod discover;
mod discovery;
#[cfg(feature = "dns")]
mod dns;
mod draw;
mod ejection;
mod endpoint;
mod latency;
mod member;
mod pick;
mod policy;
mod published;
mod registry;
mod ring;
mod set;
mod target;
mod watched_file;
mod weight;

#[cfg(all(test, feature = "dns"))]
mod dns_tests;
#[cfg(test)]
mod draw_tests;
#[cfg(test)]
mod ejection_tests;
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
mod watched_file_tests;
#[cfg(test)]
mod weight_tests;

pub use balancer::{Balancer, EndpointState};
pub use builder::BalancerBuilder;
pub use discover::{Discover, DiscoverError, Static};
#[cfg(feature = "dns")]
pub use dns::Dns;
pub use ejection::Ejection;
pub use endpoint::{Endpoint, EndpointId, InFlight};
pub use member::{Picked, Verdict};
pub use pick::{Pick, Picker, Policy};
pub use policy::{ConsistentHash, LeastPending, PeakEwma, PickFirst, Random, RoundRobin};
pub use target::{Target, Targets, TargetsError};
pub use watched_file::WatchedFile;
pub use weight::{Weight, WeightError};
