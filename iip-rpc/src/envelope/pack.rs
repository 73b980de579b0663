//! Compressed messages, as they are sent and as they are received.

use bytes::{Bytes, BytesMut};
use iip_core::wire::record::{RecordKind, encode_header};

use super::{EnvelopeError, MessageBytes};
use crate::compression::Packing;
use crate::{Compression, Encoding};

/// A MESSAGE record whose payload is compressed.
pub(super) const PACKED_MESSAGE: RecordKind =
    RecordKind(RecordKind::MESSAGE.0 | RecordKind::COMPRESSED);

/// A MESSAGE_START record of a compressed message.
pub(super) const PACKED_START: RecordKind =
    RecordKind(RecordKind::MESSAGE_START.0 | RecordKind::COMPRESSED);

/// The message as it is to be sent: compressed if that was agreed on and is wanted, and it helps; and
/// the encoding that it then is in.
pub(crate) fn pack(
    message: MessageBytes,
    packing: Option<Packing>,
    compression: Compression,
) -> (MessageBytes, Option<Encoding>) {
    let Some(encoding) = packing.and_then(|packing| packing.of(message.len(), compression)) else {
        return (message, None);
    };
    let bytes = message.clone().into_bytes();
    let Some(compressed) = encoding.compress(&bytes) else {
        return (message, None);
    };
    let header = encode_header(PACKED_MESSAGE, compressed.len() as u64);
    let mut record = BytesMut::with_capacity(header.len() + compressed.len());
    record.extend_from_slice(&header);
    record.extend_from_slice(&compressed);
    let packed = MessageBytes::Whole {
        record: record.freeze(),
        header: header.len() as u8,
    };
    (packed, Some(encoding))
}

/// The message of a record that says it is compressed, of at most `max_message` bytes.
pub(super) fn unpack(
    compressed: MessageBytes,
    encoding: Option<Encoding>,
    max_message: usize,
) -> Result<MessageBytes, EnvelopeError> {
    let encoding = encoding.ok_or(EnvelopeError::Compressed)?;
    let sent = compressed.len();
    let message: Bytes = encoding.decompress(&compressed.into_bytes(), max_message)?;
    Ok(MessageBytes::Unpacked { message, sent })
}
