use std::fmt;

/// Bytes that cannot be a frame (`docs/protocol.md`, section 2). The connection they came on cannot be read any
/// further and is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The first byte of a frame is none of the kinds 0 to 8.
    UnknownKind(u8),
    /// The path has no byte at all.
    EmptyPath,
    /// The path does not end within 2,048 bytes.
    PathTooLong,
    /// The frame announces no data.
    EmptyData,
    /// The frame announces more data than the receiver accepts.
    DataTooLong {
        /// Announced length, bytes.
        length: u32,
        /// The receiver's limit, bytes.
        limit: u32,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(byte) => write!(f, "frame kind {byte} is unknown"),
            Self::EmptyPath => f.write_str("a frame has an empty path"),
            Self::PathTooLong => write!(f, "a path is longer than {} bytes", super::MAX_PATH),
            Self::EmptyData => f.write_str("a frame has no data"),
            Self::DataTooLong { length, limit } => {
                write!(
                    f,
                    "a frame announces {length} bytes of data, the limit is {limit}"
                )
            }
        }
    }
}

impl std::error::Error for WireError {}
