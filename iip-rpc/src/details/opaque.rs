use std::ops::Deref;

use bytes::Bytes;

/// What travels with a status for programs: bytes, empty when there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Details {
    bytes: Bytes,
}

impl Details {
    /// The bytes, shared.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl From<Bytes> for Details {
    fn from(bytes: Bytes) -> Self {
        Self { bytes }
    }
}

impl From<Details> for Bytes {
    fn from(details: Details) -> Self {
        details.bytes
    }
}

impl Deref for Details {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
