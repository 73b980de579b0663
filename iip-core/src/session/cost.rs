//! What records cost of their call's credit (`docs/protocol.md`, section 13).

use crate::wire::record::RecordKind;

/// What each message costs, beside its bytes.
pub const MESSAGE_COST: usize = 64;

/// Largest cost of one chunk ([`Chunk::costing`](super::Chunk::costing)): a chunk goes out whole or waits, and every
/// receiver gives at least twice as much.
pub const PIECE: usize = 16 * 1024;

/// What records cost: the bytes of messages in them, and [`MESSAGE_COST`] for each message that begins in them. They
/// may lie in two pieces. Stops at what cannot be read, which fails the call elsewhere.
pub(super) fn cost(head: &[u8], body: &[u8]) -> usize {
    let mut reader = Reader { head, body, at: 0 };
    let mut cost = 0usize;
    while let Some((kind, length)) = reader.header() {
        let payload = reader.at;
        if matches!(
            RecordKind(kind & !RecordKind::COMPRESSED),
            RecordKind::MESSAGE | RecordKind::MESSAGE_START
        ) {
            cost = cost.saturating_add(MESSAGE_COST);
        }
        match RecordKind(kind & !RecordKind::COMPRESSED) {
            RecordKind::MESSAGE => cost = cost.saturating_add(length),
            RecordKind::MESSAGE_PART if kind == RecordKind::MESSAGE_PART.0 => {
                cost = cost.saturating_add(length);
            }
            RecordKind::MESSAGE_START => {
                let Some(_total) = reader.varint() else {
                    break;
                };
                cost = cost.saturating_add(length.saturating_sub(reader.at - payload));
            }
            _ => {}
        }
        reader.at = payload.saturating_add(length);
    }
    cost
}

struct Reader<'a> {
    head: &'a [u8],
    body: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = match self.head.get(self.at) {
            Some(byte) => *byte,
            None => *self.body.get(self.at.checked_sub(self.head.len())?)?,
        };
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Kind and length of the next record, if all of it is there.
    fn header(&mut self) -> Option<(u8, usize)> {
        let kind = self.byte()?;
        let length = usize::try_from(self.varint()?).ok()?;
        let end = self.head.len() + self.body.len();
        (length <= end.checked_sub(self.at)?).then_some((kind, length))
    }
}
