//! Compression of single messages, as caller and server agree on it.

use iip_rpc::{Compression, Encoding, Status};

use super::proto::Packing;

/// How server and clients of the suite compress: only what asks for it ([`COMPRESS_FROM`]).
pub(super) const ENCODING: Encoding = Encoding::Gzip;

/// No message is so long that it is compressed without asking for it.
pub(super) const COMPRESS_FROM: usize = usize::MAX;

impl Packing {
    /// What the sender of such a message sets.
    pub(super) fn compression(self) -> Compression {
        match self {
            Self::Any => Compression::Auto,
            Self::Compressed => Compression::Always,
            Self::Uncompressed => Compression::Never,
        }
    }

    /// Whether a message that came so is such a one.
    pub(super) fn fits(self, was_compressed: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Compressed => was_compressed,
            Self::Uncompressed => !was_compressed,
        }
    }

    /// Refuses a message that came otherwise than it says.
    pub(super) fn check(self, was_compressed: bool) -> Result<(), Status> {
        if self.fits(was_compressed) {
            return Ok(());
        }
        let text = format!("the message says {self:?}; it came compressed: {was_compressed}");
        Err(Status::invalid_argument(text))
    }
}
