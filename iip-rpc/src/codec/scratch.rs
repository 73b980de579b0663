//! Memory for small outgoing messages, taken from two buffers of the thread that are used again and again.
//!
//! A message borrows a piece of the current buffer. When the buffer is used up, its pieces have as a rule been sent
//! and dropped, and it is rewound. When one is still in use, the other buffer takes over, so that one slow message
//! does not make each later turn allocate.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use iip_core::memory;

/// Size of each buffer. Large enough that a few hundred small calls fit one turn, small enough to stay in the cache.
const BUFFER: usize = 32 * 1024;

/// Larger messages have memory of their own: they would use up the buffer in a few calls.
const MAX_PIECE: usize = BUFFER / 8;

#[derive(Default)]
struct Scratch {
    current: BytesMut,
    spare: BytesMut,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The bytes that `fill` appends to an empty buffer with room for `len`.
pub(crate) fn write<E>(
    len: usize,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<Bytes, E> {
    if len > MAX_PIECE {
        return write_alone(len, fill);
    }
    SCRATCH.with(|scratch| {
        // A message whose encoding encodes another one finds the buffer in use.
        let Ok(mut scratch) = scratch.try_borrow_mut() else {
            return write_alone(len, fill);
        };
        let buffer = scratch.with_room(len);
        fill(buffer)?;
        Ok(buffer.split().freeze())
    })
}

fn write_alone<E>(
    len: usize,
    fill: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<Bytes, E> {
    let mut buffer = memory::buffer(len);
    fill(&mut buffer)?;
    Ok(buffer.freeze())
}

impl Scratch {
    fn with_room(&mut self, len: usize) -> &mut BytesMut {
        // What a failed or panicking encoding left.
        self.current.clear();
        if !self.current.try_reclaim(len) {
            std::mem::swap(&mut self.current, &mut self.spare);
            if !self.current.try_reclaim(len) {
                self.current = BytesMut::with_capacity(BUFFER);
            }
        }
        &mut self.current
    }
}
