use bytes::{Buf, Bytes};
use iip_core::wire::record::{RecordKind, encode_header};
use prost::Message;

use super::write;
use crate::Status;

/// Encodes `message` as a whole MESSAGE record; returns the record and the length of its header. Small messages
/// allocate nothing in steady state.
pub(crate) fn encode_record(message: &impl Message) -> Result<(Bytes, u8), Status> {
    let len = message.encoded_len();
    let header = encode_header(RecordKind::MESSAGE, len as u64);
    let record = write(header.len() + len, |buffer| {
        buffer.extend_from_slice(&header);
        message.encode(buffer)
    })
    .map_err(|error| Status::internal(format!("the message cannot be encoded: {error}")))?;
    // A hand-written message may not keep its word; a wrong length would desynchronise the records after it.
    if record.len() != header.len() + len {
        return Err(Status::internal(
            "the message's encoding has another length than it announced",
        ));
    }
    Ok((record, header.len() as u8))
}

/// Decodes a whole message. The error names no content.
pub(crate) fn decode<M: Message + Default>(bytes: impl Buf) -> Result<M, prost::DecodeError> {
    M::decode(bytes)
}
