//! One direction of a connection.

use bytes::BytesMut;

/// Bytes on their way.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    bytes: BytesMut,
    /// Bytes that the sending side's socket has accepted.
    accepted: u64,
    /// It breaks here.
    pub(super) cut_at: Option<u64>,
    /// What is accepted from here on never arrives.
    pub(super) silent_from: Option<u64>,
}

impl Pipe {
    /// The socket takes what it can.
    pub(super) fn write(&mut self, data: &[u8]) -> usize {
        let room =
            |at: Option<u64>| at.map_or(usize::MAX, |at| at.saturating_sub(self.accepted) as usize);
        let count = data.len().min(room(self.cut_at));
        let arrives = count.min(room(self.silent_from));
        self.bytes.extend_from_slice(&data[..arrives]);
        self.accepted += count as u64;
        count
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut_at.is_some_and(|at| at <= self.accepted)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn read(&mut self, into: &mut BytesMut, limit: usize) -> usize {
        let count = self.bytes.len().min(limit);
        into.extend_from_slice(&self.bytes.split_to(count));
        count
    }
}
