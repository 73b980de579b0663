//! Memory for large messages, which is used again.
//!
//! A large buffer that is given back to the system and asked for again costs more than filling it does: each of its
//! pages comes back as a page fault, and is cleared first. So a few are remembered while they are in use, and once
//! nobody uses one any more it is the next to be handed out.

use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// How many times what has arrived is made room for when there is none: as long as that is little, and later.
const GROWTH: usize = 8;
const LARGE_GROWTH: usize = 2;

/// Up to here the room for a message grows by [`GROWTH`], bytes.
const QUICK: usize = 256 * 1024;

#[derive(Debug)]
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
    /// Who may need them: open connections.
    pub(crate) users: usize,
}

static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers {
    known: Vec::new(),
    bytes: 0,
    users: 0,
});

fn lock() -> MutexGuard<'static, Buffers> {
    BUFFERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty buffer with room for at least `len` bytes.
pub fn buffer(len: usize) -> BytesMut {
    if !(LARGE..=MOST_BYTES / 4).contains(&len) {
        return BytesMut::with_capacity(len);
    }
    let size = len.next_multiple_of(STEP);
    let now = Instant::now();
    let mut forgotten = Vec::new();
    // The system takes its time to take memory back: nobody is to wait for the lock meanwhile.
    let memory = lock().take(size, now, &mut forgotten);
    drop(forgotten);
    memory
}

/// Makes room in `data` for `more` bytes of the `expected` it will have in all. Memory follows what has arrived, not
/// what was announced.
pub fn make_room(data: &mut BytesMut, more: usize, expected: usize) {
    let needed = data.len().saturating_add(more);
    if needed <= data.capacity() {
        return;
    }
    let quick = needed.saturating_mul(GROWTH).min(QUICK);
    let room = needed.saturating_mul(LARGE_GROWTH).max(quick);
    let mut larger = buffer(room.min(expected).max(needed));
    larger.extend_from_slice(data);
    *data = larger;
}

/// Gives back what was not used for half a second. True: something is left.
pub(crate) fn release_idle() -> bool {
    let now = Instant::now();
    let mut buffers = lock();
    let forgotten = buffers.release(now);
    let left = !buffers.known.is_empty();
    drop(buffers);
    drop(forgotten);
    left
}

/// An open connection. Without any, nothing is remembered for long: nobody would give it back.
#[derive(Debug)]
pub(crate) struct User(());

impl User {
    pub(crate) fn new() -> Self {
        lock().users += 1;
        Self(())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let now = Instant::now();
        let forgotten = lock().leave(now);
        drop(forgotten);
    }
}

impl Buffers {
    /// Puts what is remembered no longer into `forgotten`.
    pub(crate) fn take(
        &mut self,
        size: usize,
        now: Instant,
        forgotten: &mut Vec<Buffer>,
    ) -> BytesMut {
        // The one used last is the likeliest to be in the processor's cache.
        let free = self.known.iter_mut().rposition(|buffer| {
            (size..=2 * size).contains(&buffer.size) && buffer.memory.try_reclaim(buffer.size)
        });
        let mut buffer = match free {
            Some(index) => self.known.remove(index),
            None => {
                self.make_place(size, forgotten);
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
        forgotten.append(&mut self.release(now));
        memory
    }

    /// Forgets those that were not used for longest. Their memory lives on while it is in use.
    fn make_place(&mut self, size: usize, forgotten: &mut Vec<Buffer>) {
        while !self.known.is_empty() && (self.known.len() >= MOST || self.bytes + size > MOST_BYTES)
        {
            let oldest = self.known.remove(0);
            self.bytes -= oldest.size;
            forgotten.push(oldest);
        }
    }

    /// What was not used for long, to be dropped.
    #[must_use]
    pub(crate) fn release(&mut self, now: Instant) -> Vec<Buffer> {
        let idle = |buffer: &&Buffer| now.saturating_duration_since(buffer.used) >= IDLE;
        let count = self.known.iter().take_while(idle).count();
        let forgotten: Vec<_> = self.known.drain(..count).collect();
        self.bytes -= forgotten.iter().map(|buffer| buffer.size).sum::<usize>();
        forgotten
    }

    /// One user less. What is to be dropped: all if it was the last one.
    #[must_use]
    pub(crate) fn leave(&mut self, now: Instant) -> Vec<Buffer> {
        self.users -= 1;
        if self.users > 0 {
            return self.release(now);
        }
        self.bytes = 0;
        std::mem::take(&mut self.known)
    }
}
