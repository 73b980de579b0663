use bytes::Bytes;
use iip_core::session::{Chunk, MAX_CHUNK, Payload};
use iip_core::wire::record::{RecordKind, encode_header, encode_varint, varint_len};

use super::MessageBytes;
use crate::codec;

/// Most bytes of records in one frame: a chunk less the four bytes that the session writes before them.
pub(super) const MAX_RECORDS: usize = MAX_CHUNK - 4;

/// The frames of one direction of a unary call: `head` and `trailer` are records, or empty. What fits one frame is
/// one frame; of a larger message only the headers of its parts are new, its bytes are shared.
pub(crate) fn write(head: Bytes, message: MessageBytes, trailer: Bytes) -> Payload {
    let (record, header) = message.into_record();
    let total = head.len() + record.len() + trailer.len();
    if total > MAX_RECORDS {
        return Payload::from(cut(head, record, usize::from(header), trailer));
    }
    if head.is_empty() && trailer.is_empty() {
        return Payload::from(record);
    }
    let joined = codec::write(total, |buffer| {
        buffer.extend_from_slice(&head);
        buffer.extend_from_slice(&record);
        buffer.extend_from_slice(&trailer);
        Ok::<(), std::convert::Infallible>(())
    });
    match joined {
        Ok(joined) => Payload::from(joined),
        Err(never) => match never {},
    }
}

/// One chunk for HEAD, as many as the message needs, one for TRAILER.
fn cut(head: Bytes, record: Bytes, header: usize, trailer: Bytes) -> Vec<Chunk> {
    let mut chunks = Vec::with_capacity(record.len() / MAX_RECORDS + 3);
    if !head.is_empty() {
        chunks.push(Chunk::new(&[], head));
    }
    if record.len() <= MAX_RECORDS {
        chunks.push(Chunk::new(&[], record));
    } else {
        cut_message(record.slice(header..), &mut chunks);
    }
    if !trailer.is_empty() {
        chunks.push(Chunk::new(&[], trailer));
    }
    chunks
}

fn cut_message(mut message: Bytes, chunks: &mut Vec<Chunk>) {
    let total = encode_varint(message.len() as u64);
    let largest = MAX_RECORDS - 1 - varint_len(MAX_RECORDS as u64);
    let body = message.split_to((largest - total.len()).min(message.len()));
    let header = encode_header(RecordKind::MESSAGE_START, (total.len() + body.len()) as u64);
    let mut head = [0; 24];
    let used = header.len() + total.len();
    for (to, from) in head.iter_mut().zip(header.iter().chain(total.iter())) {
        *to = *from;
    }
    chunks.push(Chunk::new(head.get(..used).unwrap_or_default(), body));
    while !message.is_empty() {
        let body = message.split_to(largest.min(message.len()));
        let header = encode_header(RecordKind::MESSAGE_PART, body.len() as u64);
        chunks.push(Chunk::new(&header, body));
    }
}
