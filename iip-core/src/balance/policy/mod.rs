//! Ways to spread calls, one in each file.

mod consistent_hash;
mod least_pending;
mod peak_ewma;
mod pick_first;
mod random;
mod round_robin;

pub use consistent_hash::ConsistentHash;
pub use least_pending::LeastPending;
pub use peak_ewma::PeakEwma;
pub use pick_first::PickFirst;
pub use random::Random;
pub use round_robin::RoundRobin;
