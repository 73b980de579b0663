//! Records: `kind u8 | length varint | payload`, the units inside an envelope.
//!
//! Everything here is pure, allocates nothing and never panics on any input. A varint is the protobuf one (seven
//! bits a byte, least significant first) with one rule more: it is minimal. The rule makes every value have one
//! spelling, so that a relay may compare and a test may pin bytes.

use std::fmt;
use std::ops::Deref;

use bytes::{Buf, Bytes};

/// Longest encoding of a varint, in bytes.
pub const MAX_VARINT: usize = 10;

/// Longest header of a record (kind and length), in bytes.
pub const MAX_RECORD_HEADER: usize = 1 + MAX_VARINT;

/// First byte of a record: what its payload is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Metadata and timeout; the first record of either direction.
    pub const HEAD: Self = Self(1);
    /// One whole message.
    pub const MESSAGE: Self = Self(2);
    /// The total length of a message as a varint, then its first bytes.
    pub const MESSAGE_START: Self = Self(3);
    /// Further bytes of the message that [`MESSAGE_START`](Self::MESSAGE_START) began.
    pub const MESSAGE_PART: Self = Self(4);
    /// How a call ended; the last record of a response.
    pub const TRAILER: Self = Self(5);
    /// The client gives the call up: a varint reason, in the last frame of a request.
    pub const CANCEL: Self = Self(6);
    /// Credit for one call; on the event stream only.
    pub const WINDOW: Self = Self(16);
    /// Cancels one call; on the event stream only.
    pub const EVENT_CANCEL: Self = Self(17);
    /// Asks for a [`PONG`](Self::PONG); on the event stream only.
    pub const PING: Self = Self(18);
    /// Answers a [`PING`](Self::PING); on the event stream only.
    pub const PONG: Self = Self(19);
    /// No more calls on this connection; on the event stream only.
    pub const GOAWAY: Self = Self(20);
    /// Answers a [`GOAWAY`](Self::GOAWAY); on the event stream only.
    pub const ACK: Self = Self(21);

    /// Added to the kinds that begin a message: the message is compressed with the encoding that HEAD names.
    pub const COMPRESSED: u8 = 0x40;
    /// A receiver that does not know a kind from here on skips the record; any other unknown kind is an error.
    pub const FIRST_SKIPPABLE: u8 = 0x80;

    /// Whether a receiver that does not know this kind skips the record.
    pub const fn is_skippable(self) -> bool {
        self.0 >= Self::FIRST_SKIPPABLE
    }

    /// The kind that this one is, compressed or not.
    #[must_use]
    pub const fn without_compressed(self) -> Self {
        if self.is_compressed() {
            return Self(self.0 & !Self::COMPRESSED);
        }
        self
    }

    /// Whether this record begins a compressed message.
    pub const fn is_compressed(self) -> bool {
        self.0 == Self::MESSAGE.0 | Self::COMPRESSED
            || self.0 == Self::MESSAGE_START.0 | Self::COMPRESSED
    }
}

impl fmt::Debug for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::HEAD => "HEAD",
            Self::MESSAGE => "MESSAGE",
            Self::MESSAGE_START => "MESSAGE_START",
            Self::MESSAGE_PART => "MESSAGE_PART",
            Self::TRAILER => "TRAILER",
            Self::CANCEL => "CANCEL",
            Self::WINDOW => "WINDOW",
            Self::EVENT_CANCEL => "EVENT_CANCEL",
            Self::PING => "PING",
            Self::PONG => "PONG",
            Self::GOAWAY => "GOAWAY",
            Self::ACK => "ACK",
            Self(other) => return write!(f, "record kind {other}"),
        };
        f.write_str(name)
    }
}

/// Why bytes are not records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end inside a varint.
    VarintTruncated,
    /// A varint is longer than its value needs.
    VarintNotMinimal,
    /// A varint does not fit 64 bits.
    VarintOverflow,
    /// The bytes end before the payload that the record announces.
    PayloadTruncated {
        /// Length that the record announces.
        announced: u64,
        /// Bytes that follow its header.
        present: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VarintTruncated => f.write_str("the bytes end inside a varint"),
            Self::VarintNotMinimal => f.write_str("a varint is longer than its value needs"),
            Self::VarintOverflow => f.write_str("a varint does not fit 64 bits"),
            Self::PayloadTruncated { announced, present } => write!(
                f,
                "a record announces {announced} bytes and {present} follow"
            ),
        }
    }
}

impl std::error::Error for RecordError {}

/// A short run of encoded bytes, kept inline. Dereferences to the bytes.
#[derive(Clone, Copy)]
pub struct Encoded {
    bytes: [u8; MAX_RECORD_HEADER],
    len: u8,
}

impl Encoded {
    const EMPTY: Self = Self {
        bytes: [0; MAX_RECORD_HEADER],
        len: 0,
    };

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
            *slot = byte;
            self.len += 1;
        }
    }

    #[inline]
    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }
}

impl Deref for Encoded {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", &**self)
    }
}

/// How many bytes the varint of `value` takes: 1 to [`MAX_VARINT`].
#[inline]
pub const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// The varint of `value`.
#[inline]
pub fn encode_varint(value: u64) -> Encoded {
    let mut out = Encoded::EMPTY;
    out.push_varint(value);
    out
}

/// Reads the varint at the start of `bytes`; returns its value and how many bytes it took.
///
/// # Errors
///
/// When the bytes end inside it, when it is not minimal, and when it does not fit 64 bits.
#[inline]
pub fn decode_varint(bytes: &[u8]) -> Result<(u64, usize), RecordError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(MAX_VARINT).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte holds the one bit that is left of 64.
        if index == MAX_VARINT - 1 && byte > 1 {
            return Err(RecordError::VarintOverflow);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(RecordError::VarintNotMinimal);
            }
            return Ok((value, index + 1));
        }
    }
    Err(RecordError::VarintTruncated)
}

/// How many bytes the header of a record with a payload of `len` bytes takes.
#[inline]
pub const fn header_len(len: u64) -> usize {
    1 + varint_len(len)
}

/// The header of a record with a payload of `len` bytes.
#[inline]
pub fn encode_header(kind: RecordKind, len: u64) -> Encoded {
    let mut out = Encoded::EMPTY;
    out.push(kind.0);
    out.push_varint(len);
    out
}

/// Reads the header at the start of `bytes`: kind, length of the payload, and how many bytes the header took. `None`
/// when there are no bytes. The payload itself need not be there.
///
/// # Errors
///
/// Those of [`decode_varint`] for the length.
#[inline]
pub fn decode_header(bytes: &[u8]) -> Result<Option<(RecordKind, u64, usize)>, RecordError> {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (len, taken) = decode_varint(rest)?;
    Ok(Some((RecordKind(kind), len, 1 + taken)))
}

/// One record of a byte slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What the payload is.
    pub kind: RecordKind,
    /// Where the payload begins in the bytes that were iterated.
    pub offset: usize,
    /// The payload.
    pub payload: &'a [u8],
}

/// Iterates over the records of a byte slice, borrowing. Ends at the end of the bytes, and after the first error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    /// The records of `bytes`, which hold whole records only.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    fn read(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        let Some((kind, len, header)) = decode_header(self.bytes)? else {
            return Ok(None);
        };
        let rest = self.bytes.get(header..).unwrap_or_default();
        let Some((payload, rest)) = usize::try_from(len)
            .ok()
            .and_then(|len| rest.split_at_checked(len))
        else {
            return Err(RecordError::PayloadTruncated {
                announced: len,
                present: rest.len(),
            });
        };
        let record = Record {
            kind,
            offset: self.offset + header,
            payload,
        };
        self.offset += header + payload.len();
        self.bytes = rest;
        Ok(Some(record))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read().transpose();
        if matches!(record, Some(Err(_))) {
            self.bytes = &[];
        }
        record
    }
}

/// Splits the first record off `bytes`, sharing the payload instead of copying it. `None` when there are no bytes;
/// after an error `bytes` are as before.
///
/// # Errors
///
/// When `bytes` do not begin with a whole record.
pub fn split_record(bytes: &mut Bytes) -> Result<Option<(RecordKind, Bytes)>, RecordError> {
    let Some(record) = Records::new(bytes).read()? else {
        return Ok(None);
    };
    let (kind, offset, len) = (record.kind, record.offset, record.payload.len());
    bytes.advance(offset);
    Ok(Some((kind, bytes.split_to(len))))
}
