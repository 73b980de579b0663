//! What calls send: messages of which no two are the same, and their records.

use std::sync::LazyLock;

use bytes::Bytes;
use fastrand::Rng;
use iip_core::session::MESSAGE_COST;
use iip_core::wire::record::{RecordKind, Records, decode_varint, encode_header, encode_varint};

const LARGEST: usize = 100 * 1024;

static FILLER: LazyLock<Bytes> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(7);
    (0..LARGEST + 1024).map(|_| rng.u8(..)).collect()
});

/// What call `id` sends and, negated, what it is answered. No two of 8 bytes or more are the same.
pub(super) fn content(id: u64, length: usize) -> Vec<u8> {
    let number = id.to_le_bytes();
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&number[..length.min(8)]);
    let from = (id % 1024) as usize;
    out.extend_from_slice(&FILLER[from..from + length.saturating_sub(8)]);
    out
}

/// Mostly small, up to 100 KiB; the same for the same id.
pub(super) fn length(id: u64) -> usize {
    let mut rng = Rng::with_seed(id);
    match rng.u16(..1000) {
        0..=3 => rng.usize(1..=LARGEST),
        4..=60 => rng.usize(1..=4096),
        61..=120 => rng.usize(1..=8),
        _ => rng.usize(8..=48),
    }
}

pub(super) fn request(id: u64) -> Vec<u8> {
    content(id, length(id))
}

pub(super) fn response(id: u64) -> Vec<u8> {
    content(!id, length(!id))
}

/// Whether what call `id` sends and is answered is many messages, where both sides take them one by one.
pub(super) fn is_stream(id: u64) -> bool {
    id & 1 == 0
}

/// A piece of a message of `total` bytes as a record, and what it costs.
pub(super) fn record(piece: &[u8], at: usize, total: usize) -> (Vec<u8>, usize) {
    let (kind, start, begins) = match (at, piece.len()) {
        (0, length) if length == total => (RecordKind::MESSAGE, Vec::new(), true),
        (0, _) => {
            let total = encode_varint(total as u64).to_vec();
            (RecordKind::MESSAGE_START, total, true)
        }
        _ => (RecordKind::MESSAGE_PART, Vec::new(), false),
    };
    let header = encode_header(kind, (start.len() + piece.len()) as u64);
    let cost = piece.len() + usize::from(begins) * MESSAGE_COST;
    ([&header[..], &start, piece].concat(), cost)
}

/// What the message records of some frames hold, and what they cost.
pub(super) fn unwrap(records: &[u8], into: &mut Vec<u8>) -> usize {
    let mut cost = 0;
    for record in Records::new(records) {
        let record = record.expect("a record");
        let start = match record.kind {
            RecordKind::MESSAGE_START => {
                let (_, taken) = decode_varint(record.payload).expect("a length");
                taken
            }
            _ => 0,
        };
        into.extend_from_slice(&record.payload[start..]);
        cost += record.payload.len() - start;
        cost += usize::from(record.kind != RecordKind::MESSAGE_PART) * MESSAGE_COST;
    }
    cost
}
