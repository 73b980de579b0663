//! The integration tests of `iip-core`.

mod corpus;
mod echo;
mod tidy;
mod vectors;
