//! The envelope: what two native peers put around the messages of a call. Pure, no input and output.

mod batch;
mod error;
mod frames;
mod head;
mod message;
mod pack;
mod parts;
mod peek;
mod reader;
mod record;
mod trailer;
mod writer;

#[cfg(test)]
mod frames_tests;
#[cfg(test)]
mod head_tests;
#[cfg(test)]
mod message_tests;
#[cfg(all(test, any(feature = "gzip", feature = "lz4", feature = "zstd")))]
mod pack_tests;
#[cfg(test)]
mod peek_tests;
#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod vectors_tests;
#[cfg(test)]
mod writer_tests;

pub(crate) use batch::Batch;
pub(crate) use error::EnvelopeError;
pub(crate) use frames::{FrameReader, Item};
pub(crate) use head::Head;
pub(crate) use message::MessageBytes;
pub(crate) use pack::pack;
pub(crate) use peek::Peek;
pub(crate) use reader::{Direction, read};
pub(crate) use trailer::Trailer;
pub(crate) use writer::{cut, write};
