//! Metadata: what travels beside a message, by key.

mod error;
mod key;
mod map;
mod value;

#[cfg(test)]
mod map_tests;

pub use error::MetadataError;
pub use key::MetadataKey;
pub use map::{Iter, Metadata};
pub use value::MetadataValue;
