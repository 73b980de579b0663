use bytes::{Buf, Bytes};

use super::{ChannelId, FrameKind};

/// Longest path, query included, bytes.
pub const MAX_PATH: usize = 2048;

/// Most data one frame can carry, bytes: 16 MiB.
pub const MAX_DATA: u32 = 16 * 1024 * 1024;

/// Longest header: kind, path, NUL, channel, length.
pub const MAX_HEADER: usize = 1 + MAX_PATH + 1 + 4 + 4;

/// Everything of a frame but its path's bytes and its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: FrameKind,
    /// The lane it belongs to.
    pub channel: ChannelId,
    /// Length of the data, bytes.
    pub length: u32,
    /// Length of the path, bytes.
    pub(crate) path_length: usize,
}

impl Header {
    /// Length of the encoded header, bytes.
    pub const fn encoded_length(&self) -> usize {
        1 + self.path_length + 1 + 4 + 4
    }

    /// The path, in bytes that begin with this header.
    pub(crate) fn path_in<'a>(&self, encoded: &'a [u8]) -> Option<&'a [u8]> {
        encoded.get(1..=self.path_length)
    }
}

/// One received frame. Path and data share the buffer they arrived in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub(crate) header: Header,
    pub(crate) raw: Bytes,
}

impl Frame {
    /// The header's numbers.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the frame is.
    pub fn kind(&self) -> FrameKind {
        self.header.kind
    }

    /// The lane it belongs to.
    pub fn channel(&self) -> ChannelId {
        self.header.channel
    }

    /// The path as received: 1 to 2,048 bytes without a NUL, not validated any further.
    pub fn path(&self) -> &[u8] {
        self.header.path_in(&self.raw).unwrap_or(&[])
    }

    /// The path as a part of the receive buffer, without copying.
    pub fn path_bytes(&self) -> Bytes {
        self.raw.slice_ref(self.path())
    }

    /// The data, without copying. Empty where the receiver chose to skip it.
    pub fn into_data(mut self) -> Bytes {
        self.raw
            .advance(self.header.encoded_length().min(self.raw.len()));
        self.raw
    }
}
