use std::fmt;

use bytes::Bytes;

use super::error::{MAX_VALUE, MetadataError};

/// A value: at most 8 KiB of printable ASCII text, or of any bytes where the key ends with `-bin`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetadataValue {
    bytes: Bytes,
}

impl MetadataValue {
    /// Longest value, bytes.
    pub const MAX_LEN: usize = MAX_VALUE;

    /// Any bytes, shared and not copied.
    ///
    /// # Errors
    ///
    /// They are longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn from_bytes(bytes: Bytes) -> Result<Self, MetadataError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(MetadataError::ValueTooLong { len: bytes.len() });
        }
        Ok(Self { bytes })
    }

    /// The bytes of the value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value as text; `None` when it is not printable ASCII.
    pub fn as_str(&self) -> Option<&str> {
        self.check_text().ok()?;
        std::str::from_utf8(&self.bytes).ok()
    }

    /// The bytes of the value, shared.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub(super) fn check_text(&self) -> Result<(), MetadataError> {
        match self.bytes.iter().find(|byte| !(0x20..0x7f).contains(*byte)) {
            Some(&byte) => Err(MetadataError::BadValueByte { byte }),
            None => Ok(()),
        }
    }
}

impl TryFrom<&str> for MetadataValue {
    type Error = MetadataError;

    fn try_from(text: &str) -> Result<Self, MetadataError> {
        Self::from_bytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl TryFrom<String> for MetadataValue {
    type Error = MetadataError;

    fn try_from(text: String) -> Result<Self, MetadataError> {
        Self::from_bytes(text.into())
    }
}

impl TryFrom<&[u8]> for MetadataValue {
    type Error = MetadataError;

    fn try_from(bytes: &[u8]) -> Result<Self, MetadataError> {
        Self::from_bytes(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> TryFrom<&[u8; N]> for MetadataValue {
    type Error = MetadataError;

    fn try_from(bytes: &[u8; N]) -> Result<Self, MetadataError> {
        Self::try_from(bytes.as_slice())
    }
}

impl TryFrom<Vec<u8>> for MetadataValue {
    type Error = MetadataError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, MetadataError> {
        Self::from_bytes(bytes.into())
    }
}

impl TryFrom<Bytes> for MetadataValue {
    type Error = MetadataError;

    fn try_from(bytes: Bytes) -> Result<Self, MetadataError> {
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => fmt::Debug::fmt(text, f),
            None => fmt::Debug::fmt(&self.bytes, f),
        }
    }
}
