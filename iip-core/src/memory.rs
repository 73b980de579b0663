//! Memory for large messages, which is used again.
//!
//! A large buffer that is given back to the system and asked for again costs more than filling it does: each of its
//! pages comes back as a page fault, and is cleared first. So a few are remembered while they are in use, and once
//! nobody uses one any more it is the next to be handed out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;

/// Smaller buffers are the allocator's: it does not give those back to the system.
pub(crate) const LARGE: usize = 16 * 1024;

/// Sizes are multiples of this, so that messages that differ a little share buffers.
const STEP: usize = 16 * 1024;

/// Most memory that is remembered, in use or not, bytes.
pub(crate) const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Most buffers that are remembered.
pub(crate) const MOST: usize = 64;

/// A buffer that nobody used for so long is given back.
pub(crate) const IDLE: Duration = Duration::from_millis(500);

/// How many times what has arrived is made room for when there is none.
const GROWTH: usize = 8;

pub(crate) struct Buffer {
    /// A handle on the buffer's memory without any of its bytes. Unless others have handles too, it is free.
    memory: BytesMut,
    size: usize,
    used: Instant,
}

#[derive(Default)]
pub(crate) struct Buffers {
    /// Those used last are last.
    pub(crate) known: Vec<Buffer>,
    pub(crate) bytes: usize,
}

static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers {
    known: Vec::new(),
    bytes: 0,
});

/// An empty buffer with room for at least `len` bytes.
pub fn buffer(len: usize) -> BytesMut {
    if !(LARGE..=MOST_BYTES / 4).contains(&len) {
        return BytesMut::with_capacity(len);
    }
    let size = len.next_multiple_of(STEP);
    let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    buffers.take(size, Instant::now())
}

/// Makes room in `data` for `more` bytes of the `expected` it will have in all. Memory follows what has arrived, not
/// what was announced.
pub fn make_room(data: &mut BytesMut, more: usize, expected: usize) {
    let needed = data.len().saturating_add(more);
    if needed <= data.capacity() {
        return;
    }
    let mut larger = buffer(needed.saturating_mul(GROWTH).min(expected).max(needed));
    larger.extend_from_slice(data);
    *data = larger;
}

/// Gives back what was not used for half a second.
pub(crate) fn release_idle() {
    let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    buffers.release(Instant::now());
}

impl Buffers {
    pub(crate) fn take(&mut self, size: usize, now: Instant) -> BytesMut {
        // The one used last is the likeliest to be in the processor's cache.
        let free = self.known.iter_mut().rposition(|buffer| {
            (size..=2 * size).contains(&buffer.size) && buffer.memory.try_reclaim(buffer.size)
        });
        let mut buffer = match free {
            Some(index) => self.known.remove(index),
            None => {
                self.make_place(size);
                self.bytes += size;
                Buffer {
                    memory: BytesMut::with_capacity(size),
                    size,
                    used: now,
                }
            }
        };
        let memory = buffer.memory.split_off(0);
        buffer.used = now;
        self.known.push(buffer);
        memory
    }

    /// Forgets those that were not used for longest. Their memory lives on while it is in use.
    fn make_place(&mut self, size: usize) {
        while !self.known.is_empty() && (self.known.len() >= MOST || self.bytes + size > MOST_BYTES)
        {
            let forgotten = self.known.remove(0);
            self.bytes -= forgotten.size;
        }
    }

    pub(crate) fn release(&mut self, now: Instant) {
        self.known
            .retain(|buffer| now.saturating_duration_since(buffer.used) < IDLE);
        self.bytes = self.known.iter().map(|buffer| buffer.size).sum();
    }
}
