use bytes::BytesMut;
use iip_core::memory;
use iip_core::wire::record::RecordKind;

use super::{EnvelopeError, MessageBytes};

/// A message of which parts are missing.
#[derive(Debug)]
pub(super) struct Assembly {
    message: BytesMut,
    missing: u64,
    packed: bool,
}

impl Assembly {
    /// A message of `total` bytes, which the reader has compared with its limit, whose first part is in a record of this
    /// kind.
    pub(super) fn begin(kind: RecordKind, total: u64, part: &[u8]) -> Result<Self, EnvelopeError> {
        let mut assembly = Self {
            message: BytesMut::new(),
            missing: total,
            packed: kind.is_compressed(),
        };
        assembly.extend(part)?;
        Ok(assembly)
    }

    /// Adds a further part, which has to bring something.
    pub(super) fn add(&mut self, part: &[u8]) -> Result<(), EnvelopeError> {
        if part.is_empty() {
            return Err(EnvelopeError::BadPart);
        }
        self.extend(part)
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), EnvelopeError> {
        let missing = self.missing.checked_sub(part.len() as u64);
        let missing = missing.ok_or(EnvelopeError::BadPart)?;
        // Bounded by the largest message, which is a `usize`.
        let expected = self.message.len().saturating_add(self.missing as usize);
        memory::make_room(&mut self.message, part.len(), expected);
        self.message.extend_from_slice(part);
        self.missing = missing;
        Ok(())
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Whether the message is compressed.
    pub(super) fn is_packed(&self) -> bool {
        self.packed
    }

    /// The message, which is whole.
    pub(super) fn finish(self) -> MessageBytes {
        MessageBytes::bare(self.message.freeze())
    }
}
