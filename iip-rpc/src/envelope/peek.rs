use bytes::Buf;
use iip_core::server::Criticality;
use iip_core::wire::record::{RecordKind, Records};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The metadata that says how much a call matters.
const CRITICALITY: &[u8] = b"x-criticality";

/// What is to be known of a request before anything is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peek {
    pub(crate) timeout_us: Option<u64>,
    pub(crate) criticality: Criticality,
}

impl Peek {
    /// Looks at the HEAD of these records, if there is one, and makes nothing of what it passes over. What cannot be read
    /// is left out: whoever reads the request in earnest says so.
    pub(crate) fn new(records: &[u8]) -> Self {
        let mut peek = Self::default();
        if let Some(Ok(first)) = Records::new(records).next()
            && first.kind == RecordKind::HEAD
        {
            let _ = peek.head(first.payload);
        }
        peek
    }

    fn head(&mut self, mut head: &[u8]) -> Option<()> {
        while head.has_remaining() {
            match field(&mut head)? {
                (1, Field::Number(timeout)) => self.timeout_us = Some(timeout),
                (2, Field::Bytes(entry)) => self.entry(entry)?,
                _ => {}
            }
        }
        Some(())
    }

    /// An entry of the metadata.
    fn entry(&mut self, mut entry: &[u8]) -> Option<()> {
        let (mut key, mut value) = (&[][..], &[][..]);
        while entry.has_remaining() {
            match field(&mut entry)? {
                (1, Field::Bytes(bytes)) => key = bytes,
                (2, Field::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        if key == CRITICALITY {
            self.criticality = match value {
                b"critical_plus" => Criticality::CriticalPlus,
                b"sheddable" => Criticality::Sheddable,
                _ => Criticality::Critical,
            };
        }
        Some(())
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of a protobuf message, with its number.
fn field<'a>(message: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let (tag, kind) = decode_key(message).ok()?;
    let field = match kind {
        WireType::Varint => Field::Number(decode_varint(message).ok()?),
        WireType::LengthDelimited => {
            let len = usize::try_from(decode_varint(message).ok()?).ok()?;
            let (bytes, rest) = message.split_at_checked(len)?;
            *message = rest;
            Field::Bytes(bytes)
        }
        _ => {
            skip_field(kind, tag, message, DecodeContext::default()).ok()?;
            Field::Other
        }
    };
    Some((tag, field))
}
