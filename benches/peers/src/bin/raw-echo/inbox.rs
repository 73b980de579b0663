//! Bytes that were read and not yet understood.

use std::io;

use crate::frame::{Found, Frame, find};

/// Bytes asked for with one read: a thousand small frames.
const READ: usize = 128 * 1024;

/// A frame of at least this many bytes is read to its end and no further, so that it lies alone in the buffer and
/// nothing behind it has to be moved.
const LARGE: usize = 64 * 1024;

/// The read buffer of one connection.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were read.
    filled: usize,
    /// Size of the frame at the beginning of the buffer, as far as is known.
    wanted: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; READ],
            filled: 0,
            wanted: 0,
        }
    }

    /// Where the next read puts its bytes; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let end = if self.wanted >= LARGE {
            self.wanted
        } else {
            READ
        };
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    /// Says how many bytes a read has put there.
    pub(crate) fn advance(&mut self, read: usize) {
        self.filled += read;
    }

    /// Everything read and not yet consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// The frame that begins at `start`, relative to there; nothing while it is incomplete.
    pub(crate) fn frame(&mut self, start: usize) -> io::Result<Option<Frame>> {
        match find(&self.buffer[start..self.filled]) {
            Found::Complete(frame) => Ok(Some(frame)),
            Found::Partial(size) => {
                self.wanted = size;
                Ok(None)
            }
            Found::Malformed => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Hands every complete frame to `each`, with the bytes it lies in, and says where the last one ends.
    pub(crate) fn frames(&mut self, mut each: impl FnMut(&[u8], Frame)) -> io::Result<usize> {
        let mut start = 0;
        while let Some(frame) = self.frame(start)? {
            each(&self.buffer[start..self.filled], frame);
            start += frame.end;
        }
        Ok(start)
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// The frame that the buffer holds, if it is a large one and nothing else is there.
    pub(crate) fn large(&self) -> Option<Frame> {
        if self.filled < LARGE {
            return None;
        }
        match find(self.bytes()) {
            Found::Complete(frame) if frame.end == self.filled => Some(frame),
            _ => None,
        }
    }

    /// Gives the buffer away and goes on with `other`, empty.
    pub(crate) fn swap(&mut self, other: &mut Vec<u8>) {
        std::mem::swap(&mut self.buffer, other);
        self.filled = 0;
    }
}
