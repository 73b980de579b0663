use std::fmt;

use bytes::Bytes;
use iip_core::session::Encodings;

use super::bounded::{self, Codec, CompressionError};

/// How a message is compressed on its way. What both sides support is agreed on when a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// RFC 1952, one member: small, and slow. Feature `gzip`.
    Gzip,
    /// RFC 8878, one frame: small and fast. Feature `zstd`, which compiles C.
    Zstd,
    /// One LZ4 block behind the message's length (4 bytes, little endian): fastest, and not so small. Feature `lz4`.
    Lz4,
}

impl Encoding {
    /// All encodings, whether supported here or not; the ones to prefer first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Lz4, Self::Gzip];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// The encoding with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|encoding| encoding.name() == name)
    }

    /// Whether its feature is compiled in.
    pub fn is_supported(self) -> bool {
        self.codec().is_some()
    }

    /// The compressed message; `None` when it would not be smaller, when a receiver would take it for an attack, or when
    /// the encoding is not supported. It is then sent as it is.
    pub(crate) fn compress(self, message: &[u8]) -> Option<Bytes> {
        let compressed = self.codec()?.compress(message)?;
        let helps = compressed.len() < message.len();
        let accepted = bounded::check(compressed.len(), message.len(), usize::MAX).is_ok();
        (helps && accepted).then(|| Bytes::from(compressed))
    }

    /// The message of `compressed`, which is contiguous and whole. It takes no more memory than a few times `limit`,
    /// whatever the bytes say.
    pub(crate) fn decompress(
        self,
        compressed: &[u8],
        limit: usize,
    ) -> Result<Bytes, CompressionError> {
        match self.codec() {
            Some(codec) => codec.decompress(compressed, limit).map(Bytes::from),
            None => Err(CompressionError::Unsupported {
                encoding: self.name(),
            }),
        }
    }

    /// What does the work; `None` if the feature is not compiled in.
    pub(super) fn codec(self) -> Option<&'static dyn Codec> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip => Some(&super::gzip::Gzip),
            #[cfg(feature = "zstd")]
            Self::Zstd => Some(&super::zstd::Zstd),
            #[cfg(feature = "lz4")]
            Self::Lz4 => Some(&super::lz4::Lz4),
            #[allow(unreachable_patterns, reason = "depends on the features")]
            _ => None,
        }
    }
}

/// All encodings whose features are compiled in.
pub(crate) fn supported() -> Vec<Encoding> {
    let all = Encoding::ALL.into_iter();
    all.filter(|encoding| encoding.is_supported()).collect()
}

/// What the peer is told to be read here: `accepted`, as far as they are compiled in.
pub(crate) fn told(accepted: &[Encoding]) -> Encodings {
    let supported = accepted.iter().filter(|encoding| encoding.is_supported());
    supported.fold(Encodings::NONE, |told, encoding| told.with(encoding.name()))
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
