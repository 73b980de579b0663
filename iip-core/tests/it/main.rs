//! The integration tests of `iip-core`.

mod captures;
mod corpus;
mod echo;
mod pair;
mod peer;
mod pool;
mod pool_loss;
mod raw;
mod running;
mod tidy;
mod vectors;
