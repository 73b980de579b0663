use std::convert::Infallible;
use std::fmt;

/// Longest key, bytes.
pub(super) const MAX_KEY: usize = 128;

/// Longest value, bytes.
pub(super) const MAX_VALUE: usize = 8 * 1024;

/// Most entries that travel together.
pub(super) const MAX_ENTRIES: usize = 64;

/// Most bytes of keys and values that travel together.
pub(super) const MAX_SIZE: usize = 16 * 1024;

/// Why a key, a value or an entry cannot be metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key is empty.
    EmptyKey,
    /// The key is longer than `MetadataKey::MAX_LEN`.
    KeyTooLong {
        /// Its length, bytes.
        len: usize,
    },
    /// The key holds a byte that is none of `a-z 0-9 - _ .`.
    BadKeyByte {
        /// The byte.
        byte: u8,
    },
    /// The value is longer than `MetadataValue::MAX_LEN`.
    ValueTooLong {
        /// Its length, bytes.
        len: usize,
    },
    /// A text value holds a byte that is not printable ASCII.
    BadValueByte {
        /// The byte.
        byte: u8,
    },
    /// There are `Metadata::MAX_ENTRIES` entries already.
    TooManyEntries,
    /// The entries would be larger than `Metadata::MAX_SIZE` together.
    TooLarge {
        /// The size they would have, bytes.
        size: usize,
    },
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => f.write_str("a metadata key is empty"),
            Self::KeyTooLong { len } => write!(
                f,
                "a metadata key has {len} bytes; at most {MAX_KEY} are allowed"
            ),
            Self::BadKeyByte { byte } => write!(
                f,
                "a metadata key holds the byte 0x{byte:02x}; allowed are a-z 0-9 - _ ."
            ),
            Self::ValueTooLong { len } => write!(
                f,
                "a metadata value has {len} bytes; at most {MAX_VALUE} are allowed"
            ),
            Self::BadValueByte { byte } => write!(
                f,
                "a metadata value holds the byte 0x{byte:02x}; text values are printable ASCII, any other bytes need \
                 a key that ends with -bin"
            ),
            Self::TooManyEntries => write!(
                f,
                "metadata has {MAX_ENTRIES} entries already, which is the most allowed"
            ),
            Self::TooLarge { size } => write!(
                f,
                "metadata would have {size} bytes; at most {MAX_SIZE} are allowed"
            ),
        }
    }
}

impl std::error::Error for MetadataError {}

impl From<Infallible> for MetadataError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
