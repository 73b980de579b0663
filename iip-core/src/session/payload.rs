use bytes::Bytes;

use super::cost::{self, PIECE};

/// Most data a frame between native peers carries, the envelope's 4 bytes included. Larger data is cut, so that a
/// small call waits for at most this much of each large one.
pub const MAX_CHUNK: usize = 32 * 1024;

/// Longest head of a [`Chunk`], bytes.
pub(super) const MAX_CHUNK_HEAD: usize = 24;

/// The cost of a chunk that was not told: it is read from the chunk's records.
const NOT_TOLD: u32 = u32::MAX;

/// The data of one frame in two parts: a few bytes written beside, and a shared piece of a large message.
#[derive(Debug, Clone)]
pub struct Chunk {
    head: [u8; MAX_CHUNK_HEAD],
    head_length: u8,
    cost: u32,
    /// The second part.
    pub body: Bytes,
}

impl Chunk {
    /// A chunk of `head`, of which at most 24 bytes are taken, followed by `body`.
    pub fn new(head: &[u8], body: Bytes) -> Self {
        debug_assert!(head.len() <= MAX_CHUNK_HEAD);
        let mut array = [0; MAX_CHUNK_HEAD];
        let mut length = 0;
        for (to, from) in array.iter_mut().zip(head) {
            *to = *from;
            length += 1;
        }
        Self {
            head: array,
            head_length: length,
            cost: NOT_TOLD,
            body,
        }
    }

    /// Says what the chunk's records cost of its call's credit, which saves reading them again: the bytes of messages in
    /// it, and [`MESSAGE_COST`](super::MESSAGE_COST) for each message that begins in it. At most [`PIECE`].
    #[must_use]
    pub fn costing(mut self, cost: usize) -> Self {
        debug_assert!(cost <= PIECE);
        self.cost = u32::try_from(cost).unwrap_or(NOT_TOLD);
        self
    }

    /// What the chunk costs of its call's credit, if its data is records.
    pub fn cost(&self) -> usize {
        match self.cost {
            NOT_TOLD => cost::cost(self.head(), &self.body),
            cost => cost as usize,
        }
    }

    /// The first part.
    pub fn head(&self) -> &[u8] {
        self.head
            .get(..usize::from(self.head_length))
            .unwrap_or(&[])
    }

    /// Length of both parts, bytes.
    pub fn len(&self) -> usize {
        usize::from(self.head_length) + self.body.len()
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is sent for one request or one response.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Data that may be cut into frames anywhere. Enveloped data must fit one frame
    /// ([`MAX_CHUNK`] less 4 bytes), since records do not span frames; give it as chunks otherwise.
    Whole(Bytes),
    /// Data already cut: one frame a chunk.
    Chunks(Vec<Chunk>),
}

impl Payload {
    /// Length in all, bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(data) => data.len(),
            Self::Chunks(chunks) => chunks.iter().map(Chunk::len).sum(),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Payload {
    #[inline]
    fn from(data: Bytes) -> Self {
        Self::Whole(data)
    }
}

impl From<Vec<Chunk>> for Payload {
    fn from(chunks: Vec<Chunk>) -> Self {
        Self::Chunks(chunks)
    }
}
