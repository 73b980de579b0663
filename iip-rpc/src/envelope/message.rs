use bytes::{Buf, Bytes, BytesMut};
use iip_core::session::MESSAGE_COST;
use iip_core::wire::record::{RecordKind, encode_header};
use prost::Message;

use crate::codec;

/// The bytes of one encoded message, in the form in which they came or will go.
#[derive(Clone, Debug)]
pub(crate) enum MessageBytes {
    /// A whole MESSAGE record: `header` bytes, then the message. Without a header it is the bare message.
    Whole { record: Bytes, header: u8 },
    /// A message that came compressed, in `sent` bytes.
    Unpacked { message: Bytes, sent: usize },
}

impl MessageBytes {
    /// Encodes `message` as a whole record.
    pub(crate) fn encode(message: &impl Message) -> Result<Self, crate::Status> {
        let (record, header) = codec::encode_record(message)?;
        Ok(Self::Whole { record, header })
    }

    /// A bare message.
    pub(crate) fn bare(message: Bytes) -> Self {
        Self::Whole {
            record: message,
            header: 0,
        }
    }

    /// Length of the message, bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole { record, header } => record.len() - usize::from(*header),
            Self::Unpacked { message, .. } => message.len(),
        }
    }

    /// Whether the message came compressed.
    pub(crate) fn was_compressed(&self) -> bool {
        matches!(self, Self::Unpacked { .. })
    }

    /// What the message costs of its direction's credit.
    pub(crate) fn cost(&self) -> usize {
        MESSAGE_COST
            + match self {
                Self::Unpacked { sent, .. } => *sent,
                other => other.len(),
            }
    }

    /// The message.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Whole { mut record, header } => {
                record.advance(usize::from(header));
                record
            }
            Self::Unpacked { message, .. } => message,
        }
    }

    /// The message as a whole MESSAGE record. Copies what is not one already.
    pub(crate) fn into_record(self) -> (Bytes, u8) {
        match self {
            Self::Whole { record, header } if header > 0 => (record, header),
            other => {
                let len = other.len();
                let header = encode_header(RecordKind::MESSAGE, len as u64);
                let mut buffer = BytesMut::with_capacity(header.len() + len);
                buffer.extend_from_slice(&header);
                match other {
                    Self::Whole { record, .. } => buffer.extend_from_slice(&record),
                    Self::Unpacked { message, .. } => buffer.extend_from_slice(&message),
                }
                (buffer.freeze(), header.len() as u8)
            }
        }
    }

    /// Decodes the message where it lies.
    pub(crate) fn decode<M: Message + Default>(self) -> Result<M, prost::DecodeError> {
        codec::decode(self.into_bytes())
    }
}
