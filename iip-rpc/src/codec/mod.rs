//! Messages to bytes and back.

mod prost;
mod scratch;

#[cfg(test)]
mod prost_tests;
#[cfg(test)]
mod scratch_tests;

pub(crate) use prost::{decode, encode_record};
pub(crate) use scratch::write;
