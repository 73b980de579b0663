use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A piece at least this long is shared with the output instead of copied into it. Below, a copy costs less than one more
/// part of a system call, and than the memory kept alive meanwhile.
const SHARED: usize = 8 * 1024;

/// Bytes taken from a session's queues at a time. Small, so that what is queued meanwhile gets in between.
pub(super) const SMALL_STEP: usize = 64 * 1024;

/// Most bytes at a time while the socket takes all at once: each step costs both sides a system call and a wake-up.
const LARGE_STEP: usize = 512 * 1024;

/// Where a session puts what is to be sent.
pub trait Sink {
    /// Most bytes to take from queues at a time.
    fn step(&self) -> usize {
        SMALL_STEP
    }

    /// Bytes put here and not taken away.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was put here last, to be continued.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// Puts `bytes` at the end and leaves them empty.
    fn append(&mut self, bytes: &mut Vec<u8>);

    /// Puts a piece of a message at the end.
    fn put(&mut self, piece: Bytes);
}

impl Sink for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        self
    }

    fn append(&mut self, bytes: &mut Vec<u8>) {
        if self.is_empty() {
            std::mem::swap(self, bytes);
        } else {
            Vec::append(self, bytes);
        }
    }

    fn put(&mut self, piece: Bytes) {
        self.extend_from_slice(&piece);
    }
}

/// Bytes on their way to a socket: what was written one after the other, and pieces of large messages in between, which
/// are not copied.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` are gone.
    gone: usize,
    /// Pieces, each with the offset in `bytes` that it goes before. None is empty.
    pieces: VecDeque<(usize, Bytes)>,
    /// Bytes in `pieces`.
    shared: usize,
    /// The socket takes several parts in one call.
    shares: bool,
    step: usize,
}

impl Output {
    /// Output that shares pieces if the socket `shares`, that is, takes several parts in one call.
    pub(crate) fn new(shares: bool) -> Self {
        Self {
            shares,
            step: SMALL_STEP,
            ..Self::default()
        }
    }

    /// The parts to be written next, if they are more than one: as many as there is room for.
    pub(crate) fn parts<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut from = self.gone;
        let mut count = 0;
        let mut room = slices.iter_mut();
        let mut add = |part: &'a [u8]| {
            if part.is_empty() {
                return true;
            }
            let place = room.next();
            place.is_some_and(|place| {
                *place = IoSlice::new(part);
                count += 1;
                true
            })
        };
        for (before, piece) in &self.pieces {
            if !add(self.bytes.get(from..*before).unwrap_or_default()) || !add(piece) {
                return count;
            }
            from = *before;
        }
        add(self.bytes.get(from..).unwrap_or_default());
        count
    }

    /// What is to be written next, if it is all one part.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        if !self.pieces.is_empty() {
            return None;
        }
        self.bytes.get(self.gone..)
    }

    /// The socket has accepted `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        let all = count == self.len();
        self.remove(count);
        // What is copied does not gain by it, and needs a larger buffer.
        self.step = if all && self.shares && count >= self.step {
            LARGE_STEP.min(2 * self.step)
        } else if all {
            self.step
        } else {
            SMALL_STEP
        };
    }

    fn remove(&mut self, mut count: usize) {
        while let Some((before, piece)) = self.pieces.front_mut() {
            let ahead = count.min(*before - self.gone);
            self.gone += ahead;
            count -= ahead;
            if count == 0 {
                return;
            }
            let step = count.min(piece.len());
            piece.advance(step);
            self.shared -= step;
            count -= step;
            if !piece.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.gone = self.bytes.len().min(self.gone + count);
        if self.gone == self.bytes.len() {
            self.bytes.clear();
            self.gone = 0;
        }
    }

    /// Gives back memory if there is more than `kept` bytes of it and none is in use.
    pub(crate) fn shrink(&mut self, kept: usize) {
        if self.is_empty() && self.bytes.capacity() > kept {
            self.bytes = Vec::new();
            self.pieces = VecDeque::new();
        }
    }
}

impl Sink for Output {
    fn step(&self) -> usize {
        self.step
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.gone + self.shared
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn append(&mut self, bytes: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, bytes);
        } else {
            self.bytes.append(bytes);
        }
    }

    fn put(&mut self, piece: Bytes) {
        if self.shares && piece.len() >= SHARED {
            self.shared += piece.len();
            self.pieces.push_back((self.bytes.len(), piece));
        } else {
            self.bytes.extend_from_slice(&piece);
        }
    }
}
