use std::fmt;
#[cfg(any(feature = "gzip", feature = "zstd"))]
use std::io::Read;

/// Decompressed bytes from which on [`MAX_RATIO`] counts. A small message may compress very well.
const RATIO_FROM: usize = 1024 * 1024;

/// Largest ratio of decompressed to compressed bytes: beyond it somebody wants memory, not a message.
const MAX_RATIO: usize = 100;

/// Why a message cannot be decompressed. It fails its call and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum CompressionError {
    /// The encoding's feature is not compiled in.
    Unsupported {
        /// The encoding's name.
        encoding: &'static str,
    },
    /// The bytes are not of this encoding, cut short, or something follows them.
    #[cfg_attr(
        not(any(feature = "gzip", feature = "lz4", feature = "zstd")),
        allow(dead_code, reason = "nothing decompresses without a feature")
    )]
    Malformed {
        /// The encoding's name.
        encoding: &'static str,
    },
    /// The message is larger than the receiver accepts.
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// The message is more than 100 times as large as its compressed form, and more than 1 MiB.
    Bomb,
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { encoding } => write!(
                f,
                "messages compressed with {encoding} are not supported here (setting: the feature of that name)"
            ),
            Self::Malformed { encoding } => {
                write!(f, "the message is not whole or not {encoding}")
            }
            Self::TooLarge { limit } => write!(
                f,
                "the decompressed message has more than the {limit} bytes the receiver accepts (settings: max_message, and the method's max_request and max_response)"
            ),
            Self::Bomb => write!(
                f,
                "the decompressed message is more than {MAX_RATIO} times as large as it was sent"
            ),
        }
    }
}

impl std::error::Error for CompressionError {}

/// One way to compress.
pub(super) trait Codec {
    /// The compressed message; `None` if it cannot be compressed.
    fn compress(&self, message: &[u8]) -> Option<Vec<u8>>;

    /// The message, checked with [`check`] before its memory is taken.
    fn decompress(&self, compressed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError>;
}

/// Checks that `decompressed` bytes may come of `compressed` ones.
pub(super) fn check(
    compressed: usize,
    decompressed: usize,
    limit: usize,
) -> Result<(), CompressionError> {
    if decompressed > limit {
        return Err(CompressionError::TooLarge { limit });
    }
    if decompressed > RATIO_FROM && decompressed / MAX_RATIO > compressed {
        return Err(CompressionError::Bomb);
    }
    Ok(())
}

/// Reads a decompressor to its end. Memory grows with what comes out, and never beyond the limit.
#[cfg(any(feature = "gzip", feature = "zstd"))]
pub(super) fn read_to_end(
    mut source: impl Read,
    compressed: usize,
    limit: usize,
    encoding: &'static str,
) -> Result<Vec<u8>, CompressionError> {
    /// Least and most that is asked for at a time, bytes.
    const STEP: (usize, usize) = (4 * 1024, 256 * 1024);

    let mut message = Vec::new();
    loop {
        let len = message.len();
        // One byte beyond the limit tells a message of that length from a longer one.
        let room = limit.saturating_sub(len).saturating_add(1);
        let step = len.clamp(STEP.0, STEP.1).min(room);
        message.reserve_exact(step);
        message.resize(len + step, 0);
        let into = message.get_mut(len..).unwrap_or_default();
        let read = source
            .read(into)
            .map_err(|_| CompressionError::Malformed { encoding })?;
        message.truncate(len + read);
        if read == 0 {
            return Ok(message);
        }
        check(compressed, message.len(), limit)?;
    }
}
