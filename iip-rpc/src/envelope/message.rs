use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use iip_core::session::MESSAGE_COST;
use iip_core::wire::record::{RecordKind, decode_header, decode_varint, encode_header};
use prost::Message;

use crate::codec;

/// The bytes of one encoded message, in the form in which they came or will go.
#[derive(Clone, Debug)]
pub(crate) enum MessageBytes {
    /// A whole MESSAGE record: `header` bytes, then the message. Without a header it is the bare message.
    Whole { record: Bytes, header: u8 },
    /// The records of a message that came in parts.
    Parts(Parts),
    /// The bytes of a message that came in several frames.
    Pieces(Pieces),
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
            Self::Parts(parts) => parts.remaining(),
            Self::Pieces(pieces) => pieces.remaining(),
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

    /// The message, contiguous. Copies only what came in parts.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Whole { mut record, header } => {
                record.advance(usize::from(header));
                record
            }
            Self::Parts(mut parts) => parts.copy_to_bytes(parts.remaining()),
            Self::Pieces(mut pieces) => pieces.copy_to_bytes(pieces.remaining()),
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
                    Self::Parts(parts) => buffer.put(parts),
                    Self::Pieces(pieces) => buffer.put(pieces),
                    Self::Unpacked { message, .. } => buffer.extend_from_slice(&message),
                }
                (buffer.freeze(), header.len() as u8)
            }
        }
    }

    /// Decodes the message where it lies.
    pub(crate) fn decode<M: Message + Default>(self) -> Result<M, prost::DecodeError> {
        match self {
            Self::Parts(parts) => codec::decode(parts),
            Self::Pieces(pieces) => codec::decode(pieces),
            whole @ (Self::Whole { .. } | Self::Unpacked { .. }) => {
                codec::decode(whole.into_bytes())
            }
        }
    }
}

/// A message spread over MESSAGE_START and MESSAGE_PART records, read without putting it together. The records were
/// checked by the reader; should they disagree with it, the message ends early and does not decode.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// Begins with the unread bytes of the current part; the records after it follow.
    rest: Bytes,
    /// Unread bytes of the current part.
    part: usize,
    /// Unread bytes of the message. Not 0 unless `part` is 0 only while moving on.
    left: usize,
}

impl Parts {
    /// `payload_and_rest` begins with the payload of a MESSAGE_START of `len` bytes.
    pub(super) fn new(mut payload_and_rest: Bytes, len: usize) -> Self {
        let Ok((total, taken)) = decode_varint(&payload_and_rest) else {
            return Self::ended();
        };
        payload_and_rest.advance(taken);
        let mut parts = Self {
            rest: payload_and_rest,
            part: len.saturating_sub(taken),
            left: usize::try_from(total).unwrap_or(0),
        };
        parts.move_on();
        parts
    }

    const fn ended() -> Self {
        Self {
            rest: Bytes::new(),
            part: 0,
            left: 0,
        }
    }

    /// Finds the next part when the current one is used up.
    fn move_on(&mut self) {
        while self.part == 0 && self.left > 0 {
            let next = match decode_header(&self.rest) {
                Ok(Some((kind, len, header))) => usize::try_from(len)
                    .ok()
                    .filter(|len| self.rest.len() - header >= *len)
                    .map(|len| (kind, len, header)),
                _ => None,
            };
            match next {
                Some((RecordKind::MESSAGE_PART, len, header)) => {
                    self.rest.advance(header);
                    self.part = len;
                }
                Some((_, len, header)) => self.rest.advance(header + len),
                None => *self = Self::ended(),
            }
        }
        self.part = self.part.min(self.left).min(self.rest.len());
    }
}

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.rest.get(..self.part).unwrap_or_default()
    }

    fn advance(&mut self, mut count: usize) {
        // The contract of `Buf` is that a caller never goes beyond what remains.
        count = count.min(self.left);
        while count > 0 && self.part > 0 {
            let step = count.min(self.part);
            self.rest.advance(step);
            self.part -= step;
            self.left -= step;
            count -= step;
            self.move_on();
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        let len = len.min(self.left);
        if len <= self.part {
            let bytes = self.rest.split_to(len);
            self.part -= len;
            self.left -= len;
            self.move_on();
            return bytes;
        }
        let mut buffer = BytesMut::with_capacity(len);
        while buffer.len() < len && self.part > 0 {
            let step = self.chunk().len().min(len - buffer.len());
            buffer.extend_from_slice(self.chunk().get(..step).unwrap_or_default());
            self.advance(step);
        }
        buffer.freeze()
    }
}

/// The bytes of a message as they came, one piece a frame or so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    /// None of them is empty.
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Pieces {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.left += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        // The contract of `Buf` is that a caller never goes beyond what remains.
        while let Some(piece) = self.pieces.front_mut() {
            let step = count.min(piece.len());
            piece.advance(step);
            self.left -= step;
            count -= step;
            if !piece.is_empty() {
                break;
            }
            self.pieces.pop_front();
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        let len = len.min(self.left);
        match self.pieces.front_mut() {
            // Shared instead of copied.
            Some(piece) if len < piece.len() => {
                self.left -= len;
                piece.split_to(len)
            }
            Some(piece) if len == piece.len() => {
                self.left -= len;
                self.pieces.pop_front().unwrap_or_default()
            }
            _ => {
                let mut buffer = BytesMut::with_capacity(len);
                buffer.put((&mut *self).take(len));
                buffer.freeze()
            }
        }
    }
}
