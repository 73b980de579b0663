use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

/// How much more than has arrived is made room for when there is none.
const GROWTH: usize = 3;

/// A message of several frames on its way to becoming one piece. Its memory grows with what has arrived, never with
/// what was announced.
#[derive(Debug)]
pub(crate) struct Assembly {
    data: BytesMut,
    received: usize,
    limit: usize,
    refused: bool,
    started: Instant,
    last: Instant,
}

/// What became of a piece given to an [`Assembly`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It was kept.
    Kept,
    /// It made the message too large. All of it was let go, and so will be what follows. Said once.
    TooLarge,
    /// It was let go: the message was refused before.
    Dropped,
    /// It goes on far beyond the limit, although it was refused.
    Endless,
}

impl Assembly {
    pub(crate) fn new(limit: usize, now: Instant) -> Self {
        Self {
            data: BytesMut::new(),
            received: 0,
            limit,
            refused: false,
            started: now,
            last: now,
        }
    }

    /// An assembly of a message that is refused already, to be read past.
    pub(crate) fn refused(limit: usize, now: Instant) -> Self {
        Self {
            refused: true,
            ..Self::new(limit, now)
        }
    }

    /// Takes one frame's data, of which `announced` bytes count (more than `data` where it was skipped).
    pub(crate) fn add(&mut self, data: &[u8], announced: usize, now: Instant) -> Added {
        self.last = now;
        self.received = self.received.saturating_add(announced.max(data.len()));
        if self.refused {
            // Twice the limit, and at least one largest frame more, may already be on its way.
            let tolerated = self
                .limit
                .saturating_mul(2)
                .saturating_add(crate::wire::MAX_DATA as usize);
            return if self.received > tolerated {
                Added::Endless
            } else {
                Added::Dropped
            };
        }
        if self.received > self.limit {
            self.refuse();
            return Added::TooLarge;
        }
        let spare = self.data.capacity() - self.data.len();
        if spare < data.len() {
            // Four times what has arrived: twice would copy a large message once more on its way.
            let wanted = self.data.len().saturating_mul(GROWTH).max(data.len());
            let allowed = self.limit.saturating_sub(self.data.len());
            self.data.reserve(wanted.min(allowed).max(data.len()));
        }
        self.data.extend_from_slice(data);
        Added::Kept
    }

    /// Lets go of what was kept, and of what follows.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
        self.data = BytesMut::new();
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Bytes kept.
    pub(crate) fn held(&self) -> usize {
        self.data.len()
    }

    /// The whole message.
    pub(crate) fn finish(self) -> Bytes {
        self.data.freeze()
    }

    /// When it has taken too long.
    pub(crate) fn expires(&self, total: Duration, stall: Duration) -> Instant {
        (self.started + total).min(self.last + stall)
    }
}

/// Bounds frames that carry next to nothing: each following frame under 256 bytes that is not the last of its message
/// draws on an allowance, which larger frames refill (`docs/protocol.md`, section 11).
#[derive(Debug)]
pub(crate) struct SmallFrames {
    allowance: usize,
}

impl SmallFrames {
    /// A frame of this size costs its peer nothing.
    pub(crate) const SIZE: usize = 256;
    /// 100 empty frames.
    const FULL: usize = 100 * Self::SIZE;

    pub(crate) fn new() -> Self {
        Self {
            allowance: Self::FULL,
        }
    }

    /// Counts a frame; false if there were too many small ones.
    pub(crate) fn admit(&mut self, length: usize, following: bool, last: bool) -> bool {
        if following && !last && length < Self::SIZE {
            match self.allowance.checked_sub(Self::SIZE) {
                Some(rest) => self.allowance = rest,
                None => return false,
            }
        }
        self.allowance = (self.allowance + length).min(Self::FULL);
        true
    }
}
