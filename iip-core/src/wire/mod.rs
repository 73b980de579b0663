//! Pure conversion between bytes and frames (`docs/protocol.md`, section 2).
//!
//! Nothing here keeps state beyond a partially received frame, and nothing here knows of sockets, clocks or
//! connections. Every limit is checked before memory is set aside for what it bounds.

mod channel_id;
mod decode;
mod encode;
mod error;
mod frame;
mod kind;
mod path;
pub mod record;

#[cfg(test)]
mod decode_tests;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod record_tests;

pub use channel_id::ChannelId;
pub use decode::{Decoded, Decoder};
pub use encode::{encode_frame, encode_header};
pub use error::WireError;
pub use frame::{Frame, Header, MAX_DATA, MAX_HEADER, MAX_PATH};
pub use kind::FrameKind;
pub use path::{Path, PathError, QueryPairs};
