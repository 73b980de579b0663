//! Encodings that messages may travel in. Each needs the feature of its name; without one a peer is told of none, and
//! nothing is compressed. Pure, no input and output.

mod bounded;
mod encoding;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
mod policy;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(test)]
mod encoding_tests;

pub(crate) use bounded::CompressionError;
pub use encoding::Encoding;
pub(crate) use encoding::{supported, told};
pub use policy::Compression;
pub(crate) use policy::{COMPRESS_FROM, Packing};
