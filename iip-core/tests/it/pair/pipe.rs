use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

/// Bytes on their way in one direction.
#[derive(Default)]
pub(super) struct Pipe {
    /// Each piece with the time at which it may arrive.
    pub(super) pieces: VecDeque<(Instant, Bytes)>,
}

impl Pipe {
    pub(super) fn push(&mut self, data: &[u8], arrives: Instant) {
        let arrives = self
            .pieces
            .back()
            .map_or(arrives, |(before, _)| arrives.max(*before));
        self.pieces
            .push_back((arrives, Bytes::copy_from_slice(data)));
    }

    /// Takes at most `limit` bytes that have arrived.
    pub(super) fn pop(&mut self, into: &mut BytesMut, limit: usize, now: Instant) -> usize {
        let mut left = limit;
        while let Some((arrives, piece)) = self.pieces.front_mut() {
            if *arrives > now || left == 0 {
                break;
            }
            let part = piece.split_to(piece.len().min(left));
            left -= part.len();
            into.extend_from_slice(&part);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        limit - left
    }
}
