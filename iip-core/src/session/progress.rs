use std::time::{Duration, Instant};

use super::error::Violation;
use super::limits::Limits;
use crate::wire::Decoder;

/// Over how long the rate of a frame's data is averaged.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Watches that a frame which has begun to arrive goes on arriving (`docs/protocol.md`, section 11).
#[derive(Debug)]
pub(crate) struct ReadProgress {
    phase: Phase,
    /// The connection was not read for a while since the last look.
    paused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing was received yet.
    First {
        since: Instant,
    },
    Between,
    Header {
        since: Instant,
    },
    Data {
        since: Instant,
        received: usize,
    },
}

impl ReadProgress {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::First { since: now },
            paused: false,
        }
    }

    /// Says what the input looks like after a read: `received` more bytes came, `buffered` are left undecoded.
    pub(crate) fn observe(
        &mut self,
        decoder: &Decoder,
        buffered: usize,
        received: usize,
        now: Instant,
    ) {
        if std::mem::take(&mut self.paused) {
            self.restart(now);
        }
        self.phase = if decoder.is_between_frames(buffered) {
            match self.phase {
                first @ Phase::First { .. } if received == 0 => first,
                _ => Phase::Between,
            }
        } else if decoder.is_inside_header(buffered) {
            match self.phase {
                same @ (Phase::First { .. } | Phase::Header { .. }) => same,
                _ => Phase::Header { since: now },
            }
        } else {
            match self.phase {
                Phase::Data {
                    since,
                    received: before,
                } => Phase::Data {
                    since,
                    received: before.saturating_add(received),
                },
                _ => Phase::Data {
                    since: now,
                    received: 0,
                },
            }
        };
    }

    /// A frame was completed: what follows is measured anew.
    pub(crate) fn frame_completed(&mut self) {
        self.phase = Phase::Between;
    }

    /// When to look again; `None` between frames.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match self.phase {
            Phase::First { since } => Some(since + limits.first_frame_timeout),
            Phase::Between => None,
            Phase::Header { since } => Some(since + limits.header_timeout),
            Phase::Data { since, .. } => Some(since + limits.body_grace + RATE_WINDOW),
        }
    }

    /// What took too long, if anything did.
    pub(crate) fn check(&mut self, limits: &Limits, now: Instant) -> Option<Violation> {
        if std::mem::take(&mut self.paused) {
            self.restart(now);
        }
        if self.deadline(limits).is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.phase {
            Phase::First { .. } => Some(Violation::Slow("the first frame")),
            Phase::Header { .. } => Some(Violation::Slow("a frame header")),
            Phase::Data { received, .. } => {
                let least = u64::from(limits.body_rate) * RATE_WINDOW.as_secs();
                if (received as u64) < least {
                    return Some(Violation::Slow("a frame's data"));
                }
                // The grace is granted once a frame, by starting the next window that much earlier.
                let since = now.checked_sub(limits.body_grace).unwrap_or(now);
                self.phase = Phase::Data { since, received: 0 };
                None
            }
            Phase::Between => None,
        }
    }

    /// The connection is not being read, so nobody is slow until somebody looks again.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    fn restart(&mut self, now: Instant) {
        self.phase = match self.phase {
            Phase::Between => Phase::Between,
            Phase::First { .. } => Phase::First { since: now },
            Phase::Header { .. } => Phase::Header { since: now },
            Phase::Data { .. } => Phase::Data {
                since: now,
                received: 0,
            },
        };
    }
}
