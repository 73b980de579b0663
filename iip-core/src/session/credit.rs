//! Credit: how much one side of a call may send before the other has taken it (`docs/protocol.md`, section 13).
//!
//! Pure arithmetic. [`Outflow`] is the sender's side, [`Inflow`] the receiver's, and [`Pool`] what all calls of a
//! connection together may be granted beyond the window that each begins with.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::cost::{Counted, Counting, MESSAGE_COST};
use crate::wire::ChannelId;

/// Smallest window a peer may announce, and the default, bytes.
pub const MIN_WINDOW: u32 = 32 * 1024;

/// Largest window that a call grows to, bytes.
const MAX_WINDOW: u64 = 4 * 1024 * 1024;

/// How far ahead of what has arrived the rest of a large message is granted, bytes. What is granted fills the buffers of
/// the network, behind which every small call has to wait: a millisecond at 2 GB/s. It also is the most that is sent in one
/// round trip: 2 GB/s at a millisecond.
const AHEAD: u64 = 2 * 1024 * 1024;

/// Most credit there can be on one call.
const MAX_CREDIT: u64 = i64::MAX as u64;

/// A window grows if half of it is used up faster than this: what it bounds then is likely the round trip.
const FAST: Duration = Duration::from_millis(100);

/// Bytes of a direction of a call that may be no messages: metadata, how it ended, and record headers.
const FREE_BYTES: u64 = 128 * 1024;

/// What the sender of messages may still send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outflow {
    credit: u64,
}

impl Outflow {
    /// At the start of a call: the window of the receiver.
    pub(crate) fn new(window: u64) -> Self {
        Self {
            credit: window.min(MAX_CREDIT),
        }
    }

    pub(crate) fn allows(self, cost: u64) -> bool {
        cost <= self.credit
    }

    /// Pays for what is sent. False, and nothing is paid, if it may not be sent.
    pub(crate) fn take(&mut self, cost: u64) -> bool {
        match self.credit.checked_sub(cost) {
            Some(rest) => {
                self.credit = rest;
                true
            }
            None => false,
        }
    }

    /// The receiver grants more. False: more than there can be.
    pub(crate) fn grant(&mut self, bytes: u64) -> bool {
        match self
            .credit
            .checked_add(bytes)
            .filter(|sum| *sum <= MAX_CREDIT)
        {
            Some(sum) => {
                self.credit = sum;
                true
            }
            None => false,
        }
    }
}

/// What a sender did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// More than was granted.
    Credit,
    /// A message that is too large.
    Message,
}

/// What a receiver has to do after something arrived or was consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    Nothing,
    /// To be granted now.
    Bytes(u64),
    /// The rest of a message that the pool has no room for now.
    Later,
}

/// The receiver's side of one direction of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Inflow {
    /// What every call begins with.
    initial: u64,
    /// What may lie unconsumed, messages that are incomplete aside.
    window: u64,
    /// Granted, received and consumed since the start.
    granted: u64,
    used: u64,
    consumed: u64,
    /// Bytes lacking of the message that has begun.
    missing: u64,
    /// Bytes of frames since the start.
    carried: u64,
    /// Taken from the pool: what is granted beyond the window, and what the window has grown by.
    lent: u64,
    /// Up to where the pool covers grants. Beyond what is granted while a large message arrives.
    covered: u64,
    last_grant: Option<Instant>,
    arriving: Option<Arriving>,
}

/// Since when a message has been arriving, and when its last frame came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Arriving {
    since: Instant,
    last: Instant,
}

impl Inflow {
    pub(crate) fn new(window: u64) -> Self {
        Self {
            initial: window,
            window,
            granted: window,
            used: 0,
            consumed: 0,
            missing: 0,
            carried: 0,
            lent: 0,
            covered: window,
            last_grant: None,
            arriving: None,
        }
    }

    /// Notes when a frame came, once it was counted: a message that has begun has to end in time.
    pub(crate) fn note_arrival(&mut self, now: Instant) {
        self.arriving = (self.missing > 0).then(|| Arriving {
            since: self.arriving.map_or(now, |arriving| arriving.since),
            last: now,
        });
    }

    /// The message that is arriving has all its time from the next [`expires`](Self::expires) on.
    pub(crate) fn restart(&mut self) {
        self.arriving = None;
    }

    /// When the message that is arriving has taken too long; `None` if there is none.
    pub(crate) fn expires(
        &mut self,
        total: Duration,
        stall: Duration,
        now: Instant,
    ) -> Option<Instant> {
        if self.missing == 0 {
            return None;
        }
        let begun = Arriving {
            since: now,
            last: now,
        };
        let arriving = self.arriving.get_or_insert(begun);
        Some((arriving.since + total).min(arriving.last + stall))
    }

    /// Counts the records of a frame.
    pub(crate) fn receive(&mut self, records: &[u8], max_message: u64) -> Result<(), Excess> {
        self.carried = self.carried.saturating_add(records.len() as u64);
        let mut too_large = false;
        for counted in Counting::new(&[], records) {
            self.used = self.used.saturating_add(counted.cost());
            match counted {
                Counted::Message(total) => too_large |= total > max_message,
                Counted::Start(total, first) => {
                    too_large |= total > max_message;
                    // Of one that is too large nothing more is granted.
                    self.missing = match total > max_message {
                        true => 0,
                        false => total.saturating_sub(first),
                    };
                }
                Counted::Part(bytes) => self.missing = self.missing.saturating_sub(bytes),
                Counted::Cancel | Counted::Other => {}
            }
        }
        if self.used > self.granted {
            return Err(Excess::Credit);
        }
        if too_large {
            return Err(Excess::Message);
        }
        Ok(())
    }

    /// Whether there were far more bytes than messages account for.
    pub(crate) fn is_chaff(&self) -> bool {
        self.carried.saturating_sub(self.used) > FREE_BYTES.saturating_add(self.used / 16)
    }

    /// The application has taken messages that cost so much.
    pub(crate) fn consume(&mut self, cost: u64, pool: &mut Pool) {
        self.consumed = self.consumed.saturating_add(cost).min(self.used);
        self.settle(pool);
    }

    /// Received and not consumed.
    pub(crate) fn unconsumed(&self) -> u64 {
        self.used - self.consumed
    }

    /// What is to be granted now. `turn`: nobody else waits for the pool, or this call is next.
    pub(crate) fn grant(&mut self, pool: &mut Pool, turn: bool, now: Instant) -> Grant {
        let base = self.consumed.saturating_add(self.window);
        let needed = self.used.saturating_add(self.missing);
        if self.missing > 0 && needed > self.granted {
            // All that the message lacks, or nothing: two halves of two messages would wait for each other.
            let target = needed.max(base);
            let lacking = self.lendable(target).saturating_sub(self.lent);
            if lacking > 0 && !(turn && pool.lend(lacking)) {
                return Grant::Later;
            }
            self.lent += lacking;
            self.covered = self.covered.max(target);
            let ahead = self.used.saturating_add(AHEAD);
            if self.granted > ahead - AHEAD / 2 {
                return Grant::Nothing;
            }
            return self.raise(target.min(ahead));
        }
        if base.saturating_sub(self.granted) < self.window / 2 {
            return Grant::Nothing;
        }
        self.grow(pool, now);
        self.raise(self.consumed.saturating_add(self.window))
    }

    /// What the pool has to lend for so much to be granted.
    fn lendable(&self, granted: u64) -> u64 {
        let beyond = granted.saturating_sub(self.consumed.saturating_add(self.window));
        beyond + (self.window - self.initial)
    }

    fn raise(&mut self, target: u64) -> Grant {
        let bytes = target.saturating_sub(self.granted);
        self.granted = self.granted.max(target);
        self.covered = self.covered.max(self.granted);
        match bytes {
            0 => Grant::Nothing,
            bytes => Grant::Bytes(bytes),
        }
    }

    /// Doubles the window of a call whose consumer is quick, if the pool has room.
    fn grow(&mut self, pool: &mut Pool, now: Instant) {
        let fast = self
            .last_grant
            .is_some_and(|last| now.saturating_duration_since(last) < FAST);
        self.last_grant = Some(now);
        let behind = self.unconsumed() > self.window / 2;
        let window = self.window.saturating_mul(2).min(MAX_WINDOW);
        if fast && !behind && window > self.window && pool.grow(window - self.window) {
            self.lent += window - self.window;
            self.window = window;
        }
    }

    /// Gives back what is not needed any more.
    fn settle(&mut self, pool: &mut Pool) {
        let needed = self.lendable(self.covered);
        pool.give_back(self.lent.saturating_sub(needed), 0);
        self.lent = self.lent.min(needed);
    }

    /// The call is over.
    pub(crate) fn end(self, pool: &mut Pool) {
        pool.give_back(self.lent, self.window - self.initial);
    }
}

/// Whether there were more grants than a peer needs: one for each 4 KiB on average, and a thousand to begin with.
pub(crate) fn too_many_windows(windows: u64, used: u64) -> bool {
    windows > used / 4096 + 1000
}

/// What all calls of a connection together may be granted beyond the windows they begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pool {
    total: u64,
    lent: u64,
    /// By how much windows may grow: room for one largest message is always left.
    most_growth: u64,
    grown: u64,
    /// All connections hold too much: no window grows.
    pub(crate) pressed: bool,
    /// Who waits for the rest of a message, in order.
    waiting: VecDeque<ChannelId>,
}

impl Pool {
    /// Half of what a connection may hold, but room for one largest message at least.
    pub(crate) fn new(receive_budget: usize, max_message: usize) -> Self {
        let largest = (max_message as u64).saturating_add(MESSAGE_COST as u64);
        let total = (receive_budget as u64 / 2).max(largest);
        Self {
            total,
            lent: 0,
            most_growth: (total / 2).min(total - largest),
            grown: 0,
            pressed: false,
            waiting: VecDeque::new(),
        }
    }

    fn lend(&mut self, bytes: u64) -> bool {
        let lent = self.lent.saturating_add(bytes);
        if lent > self.total {
            return false;
        }
        self.lent = lent;
        true
    }

    fn grow(&mut self, bytes: u64) -> bool {
        let grown = self.grown.saturating_add(bytes);
        if self.pressed || grown > self.most_growth || !self.lend(bytes) {
            return false;
        }
        self.grown = grown;
        true
    }

    fn give_back(&mut self, lent: u64, grown: u64) {
        debug_assert!(lent <= self.lent && grown <= self.grown);
        self.lent = self.lent.saturating_sub(lent);
        self.grown = self.grown.saturating_sub(grown);
    }

    /// A call waits for the rest of a message.
    pub(crate) fn wait(&mut self, channel: ChannelId) {
        if !self.waits(channel) {
            self.waiting.push_back(channel);
        }
    }

    /// Whether the call of a channel waits.
    pub(crate) fn waits(&self, channel: ChannelId) -> bool {
        self.waiting.contains(&channel)
    }

    /// Whether somebody waits, so that a newcomer has to stand behind.
    pub(crate) fn next_waiting(&self) -> Option<ChannelId> {
        self.waiting.front().copied()
    }

    /// The call of a channel waits no longer.
    pub(crate) fn forget(&mut self, channel: ChannelId) {
        self.waiting.retain(|waiting| *waiting != channel);
    }

    /// What is lent now.
    pub(crate) fn lent(&self) -> u64 {
        self.lent
    }
}
