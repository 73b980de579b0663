//! What records cost of their call's credit (`docs/protocol.md`, section 13).

use crate::wire::record::RecordKind;

/// What each message costs, beside its bytes.
pub const MESSAGE_COST: usize = 64;

/// Largest cost of one chunk ([`Chunk::costing`](super::Chunk::costing)): a chunk goes out whole or waits, and every
/// receiver gives at least twice as much.
pub const PIECE: usize = 16 * 1024;

/// What a record means for credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// A message of so many bytes, whole.
    Message(u64),
    /// The beginning of a message of so many bytes in all, with the first of them.
    Start(u64, u64),
    /// Further bytes of a message.
    Part(u64),
    /// The client gives the call up.
    Cancel,
    /// Costs nothing.
    Other,
}

impl Counted {
    pub(super) fn cost(self) -> u64 {
        match self {
            Self::Message(bytes) | Self::Start(_, bytes) => {
                bytes.saturating_add(MESSAGE_COST as u64)
            }
            Self::Part(bytes) => bytes,
            Self::Cancel | Self::Other => 0,
        }
    }
}

/// The records of a frame, which may lie in two pieces. Ends at what cannot be read, which fails the call elsewhere.
pub(super) struct Counting<'a> {
    head: &'a [u8],
    body: &'a [u8],
    at: usize,
}

impl<'a> Counting<'a> {
    pub(super) fn new(head: &'a [u8], body: &'a [u8]) -> Self {
        Self { head, body, at: 0 }
    }

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

    fn read(&mut self) -> Option<Counted> {
        let kind = RecordKind(self.byte()?);
        let length = self.varint()?;
        let payload = self.at;
        let end = (self.head.len() + self.body.len()) as u64;
        let next = length
            .checked_add(payload as u64)
            .filter(|next| *next <= end)?;
        let counted = match kind {
            RecordKind::MESSAGE_PART => Counted::Part(length),
            RecordKind::CANCEL => Counted::Cancel,
            kind if begins(kind, RecordKind::MESSAGE) => Counted::Message(length),
            kind if begins(kind, RecordKind::MESSAGE_START) => {
                let total = self.varint()?;
                let taken = (self.at - payload) as u64;
                Counted::Start(total, length.checked_sub(taken)?)
            }
            _ => Counted::Other,
        };
        self.at = usize::try_from(next).ok()?;
        Some(counted)
    }
}

fn begins(kind: RecordKind, plain: RecordKind) -> bool {
    kind == plain || kind.0 == plain.0 | RecordKind::COMPRESSED
}

impl Iterator for Counting<'_> {
    type Item = Counted;

    fn next(&mut self) -> Option<Counted> {
        let counted = self.read();
        if counted.is_none() {
            self.at = usize::MAX / 2;
        }
        counted
    }
}

/// What records cost: the bytes of messages in them, and [`MESSAGE_COST`] for each message that begins in them.
pub(super) fn cost(head: &[u8], body: &[u8]) -> usize {
    let sum =
        Counting::new(head, body).fold(0u64, |sum, counted| sum.saturating_add(counted.cost()));
    usize::try_from(sum).unwrap_or(usize::MAX)
}

/// Whether a message begins in a frame.
pub(super) fn begins_message(records: &[u8]) -> bool {
    Counting::new(&[], records)
        .any(|counted| matches!(counted, Counted::Message(_) | Counted::Start(..)))
}

/// Whether a frame ends its call.
pub(super) fn cancels(records: &[u8]) -> bool {
    Counting::new(&[], records).any(|counted| counted == Counted::Cancel)
}
