//! The integration tests of `iip-core`.

mod captures;
mod corpus;
mod echo;
mod pair;
mod tidy;
mod vectors;
