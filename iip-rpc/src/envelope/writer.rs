use bytes::{Bytes, BytesMut};
use iip_core::session::{Chunk, MAX_CHUNK, MESSAGE_COST, PIECE, Payload};
use iip_core::wire::record::{RecordKind, encode_header, encode_varint};

use super::pack::pack;
use super::{Batch, MessageBytes};
use crate::compression::Packing;
use crate::{Compression, codec};

/// Most bytes of records in one frame: a chunk less the four bytes that the session writes before them.
pub(super) const MAX_RECORDS: usize = MAX_CHUNK - 4;

/// Smallest credit that a call begins with. What costs no more is sent without a look at the credit.
pub(super) const MIN_WINDOW: usize = 2 * PIECE;

/// The frames of one direction of a unary call: `head` and `trailer` are records, or empty. What fits one frame, and
/// the credit that every call has, is one frame; of a larger message only the headers of its parts are new, its bytes
/// are shared.
pub(crate) fn write(head: Bytes, message: MessageBytes, trailer: Bytes) -> Payload {
    let (record, header) = message.into_record();
    let total = head.len() + record.len() + trailer.len();
    let cost = record.len() - usize::from(header) + MESSAGE_COST;
    if total > MAX_RECORDS || cost > MIN_WINDOW {
        return Payload::from(chunks(head, record, header, trailer));
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
fn chunks(head: Bytes, record: Bytes, header: u8, trailer: Bytes) -> Vec<Chunk> {
    let mut chunks = Vec::with_capacity(record.len() / PIECE + 3);
    if !head.is_empty() {
        chunks.push(Chunk::new(&[], head).costing(0));
    }
    cut_message(record, usize::from(header), &mut chunks);
    if !trailer.is_empty() {
        chunks.push(Chunk::new(&[], trailer).costing(0));
    }
    chunks
}

/// Adds the chunks of a stream's messages, none of which costs more than [`PIECE`].
pub(crate) fn cut(batch: Batch, packing: Option<Packing>, chunks: &mut impl Extend<Chunk>) {
    // None of several messages is longer than all of them together.
    let packs = |cost, compression| packing?.of(cost, compression);
    match batch {
        Batch::Records {
            cost, compression, ..
        } if packs(cost, compression).is_some() => {
            cut_packed(batch, packing, compression, chunks);
        }
        Batch::Records { records, cost, .. } if cost <= PIECE => {
            chunks.extend([Chunk::new(&[], records).costing(cost)]);
        }
        mut batch @ Batch::Records { .. } => loop {
            let mut rest = None;
            let Some(message) = batch.split_first(&mut rest) else {
                return;
            };
            let (record, header) = message.into_record();
            cut_message(record, usize::from(header), chunks);
            match rest {
                Some(rest) => batch = rest,
                None => return,
            }
        },
        Batch::Message(message, compression) => {
            let (record, header) = pack(message, packing, compression).0.into_record();
            cut_message(record, usize::from(header), chunks);
        }
    }
}

/// Messages that are compressed one by one, and sent together as far as they fit.
fn cut_packed(
    batch: Batch,
    packing: Option<Packing>,
    compression: Compression,
    chunks: &mut impl Extend<Chunk>,
) {
    let (mut together, mut together_cost) = (BytesMut::new(), 0);
    let mut rest = Some(batch);
    while let Some(batch) = rest.take() {
        let Some(message) = batch.split_first(&mut rest) else {
            break;
        };
        let (record, header) = pack(message, packing, compression).0.into_record();
        let cost = record.len() - usize::from(header) + MESSAGE_COST;
        if together_cost + cost > PIECE && !together.is_empty() {
            let records = together.split().freeze();
            chunks.extend([Chunk::new(&[], records).costing(together_cost)]);
            together_cost = 0;
        }
        if cost > PIECE {
            cut_message(record, usize::from(header), chunks);
        } else {
            together.extend_from_slice(&record);
            together_cost += cost;
        }
    }
    if !together.is_empty() {
        chunks.extend([Chunk::new(&[], together.freeze()).costing(together_cost)]);
    }
}

fn cut_message(record: Bytes, header: usize, chunks: &mut impl Extend<Chunk>) {
    let cost = record.len() - header + MESSAGE_COST;
    if cost <= PIECE {
        chunks.extend([Chunk::new(&[], record).costing(cost)]);
        return;
    }
    let packed = record
        .first()
        .map_or(0, |kind| kind & RecordKind::COMPRESSED);
    let start = RecordKind(RecordKind::MESSAGE_START.0 | packed);
    let mut message = record.slice(header..);
    let total = encode_varint(message.len() as u64);
    let body = message.split_to(PIECE - MESSAGE_COST);
    let header = encode_header(start, (total.len() + body.len()) as u64);
    let mut head = [0; 24];
    let used = header.len() + total.len();
    for (to, from) in head.iter_mut().zip(header.iter().chain(total.iter())) {
        *to = *from;
    }
    chunks.extend([Chunk::new(head.get(..used).unwrap_or_default(), body).costing(PIECE)]);
    chunks.extend(std::iter::from_fn(|| {
        if message.is_empty() {
            return None;
        }
        let body = message.split_to(PIECE.min(message.len()));
        let header = encode_header(RecordKind::MESSAGE_PART, body.len() as u64);
        let cost = body.len();
        Some(Chunk::new(&header, body).costing(cost))
    }));
}
