//! Ways to spread calls, one in each file.

mod consistent_hash;
mod least_pending;
mod peak_ewma;
mod pick_first;
mod random;
mod round_robin;

#[cfg(test)]
mod all_tests;
#[cfg(test)]
mod consistent_hash_tests;
#[cfg(test)]
mod least_pending_tests;
#[cfg(test)]
mod peak_ewma_tests;
#[cfg(test)]
mod pick_first_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod round_robin_tests;

pub use consistent_hash::ConsistentHash;
pub use least_pending::LeastPending;
pub use peak_ewma::PeakEwma;
pub use pick_first::PickFirst;
pub use random::Random;
pub use round_robin::RoundRobin;
