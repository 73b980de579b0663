use std::time::Instant;

use crate::session::assembly::Assembly;
use crate::session::channel::{Delivery, MessageState};
use crate::session::credit::Inflow;
use crate::wire::{ChannelId, Path};

/// One channel as its client sees it.
///
/// ```text
///   Free ──open──▶ Leased ──release, both directions complete──▶ Free
///                    │                                            ▲
///                    └──release before that──▶ Abandoned ─────────┘
///                                              (until complete)
/// ```
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) generation: u64,
    pub(super) stage: Stage,
    pub(super) seq: u16,
    /// The call's sequence number, if it is enveloped.
    pub(super) envelope: Option<u16>,
    pub(super) delivery: Delivery,
    pub(super) response: MessageState,
    /// The whole request was queued.
    pub(super) request_complete: bool,
    pub(super) response_complete: bool,
    /// The server was told that nobody waits.
    pub(super) cancelled: bool,
    /// Offset in the stream at which the request's first frame ends; the maximum while that is not known.
    pub(super) first_end: u64,
    /// Offset in the stream at which the request ends; the maximum while that is not known.
    pub(super) sent_end: u64,
    /// A handler gets the request frame by frame, for all this side knows.
    pub(super) runs_early: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) abandoned_at: Option<Instant>,
    pub(super) assembly: Option<Box<Assembly>>,
    /// Credit of a response of several frames.
    pub(super) flow: Option<Box<Inflow>>,
    /// The path a plain server's response must name.
    pub(super) path: Option<Path>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    #[default]
    Free,
    Leased,
    /// Nobody waits any more, but the one response is still owed.
    Abandoned,
    /// `/sys/events`.
    Events,
}

impl Channel {
    /// The sequence number of the next typed call.
    pub(super) fn next_seq(&mut self) -> u16 {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        seq
    }

    /// Whether a server can have executed the call once the socket has accepted `written` bytes.
    pub(super) fn may_have_run(&self, written: u64) -> bool {
        let from = if self.runs_early {
            self.first_end
        } else {
            self.sent_end
        };
        from <= written
    }

    pub(super) fn is_complete(&self) -> bool {
        self.request_complete && self.response_complete && self.sent_end != u64::MAX
    }
}

/// Which channels may be used, and which are free: the one used last first, since its state is in the cache.
#[derive(Debug, Default)]
pub(super) struct Leases {
    free: Vec<ChannelId>,
    /// Channels 1 to this were granted by the hello; those above `opened` were never used.
    granted: u32,
    opened: u32,
    /// The highest number granted in any way.
    highest: u32,
    /// Channels granted in any way.
    pub(super) total: u32,
    /// Channel requests that were not answered yet.
    pub(super) requested: u32,
    /// The server grants no more.
    pub(super) exhausted: bool,
}

impl Leases {
    pub(super) fn take(&mut self) -> Option<ChannelId> {
        if let Some(id) = self.free.pop() {
            return Some(id);
        }
        if self.opened < self.granted {
            self.opened += 1;
            return Some(ChannelId(self.opened));
        }
        None
    }

    pub(super) fn give_back(&mut self, id: ChannelId) {
        self.free.push(id);
    }

    /// The hello granted channels 1 to `count`.
    pub(super) fn grant_range(&mut self, count: u32) {
        self.granted = count;
        self.highest = self.highest.max(count);
        self.total += count;
    }

    /// One more channel was granted. False: its number was granted before, which would mix up two calls.
    pub(super) fn grant_one(&mut self, id: ChannelId) -> bool {
        if id.0 <= self.highest {
            return false;
        }
        self.highest = id.0;
        self.total += 1;
        self.free.push(id);
        true
    }

    pub(super) fn available(&self) -> usize {
        self.free.len() + (self.granted - self.opened) as usize
    }
}
