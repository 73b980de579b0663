use std::ops::RangeInclusive;
use std::time::Duration;

use super::random::Random;

/// What is to go wrong on connections. Nothing does by default; every setting draws from the seed, for each connection
/// and direction apart from the others.
#[derive(Clone, Debug)]
#[must_use = "faults do nothing until there is a relay"]
pub struct Faults {
    random: Random,
    pub(super) pieces: RangeInclusive<u64>,
    pub(super) delay: Option<RangeInclusive<Duration>>,
    pub(super) stall: Option<(u64, RangeInclusive<Duration>)>,
    pub(super) drop_after: Option<RangeInclusive<u64>>,
    pub(super) refuse: Option<u64>,
    first: u64,
}

impl Faults {
    /// No faults yet, of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            pieces: 16 * 1024..=16 * 1024,
            delay: None,
            stall: None,
            drop_after: None,
            refuse: None,
            first: u64::MAX,
        }
    }

    /// Passes bytes on in pieces of so many, at least 1 and at most 16 KiB; default 16 KiB.
    pub fn split(mut self, bytes: RangeInclusive<u64>) -> Self {
        self.pieces = bytes;
        self
    }

    /// Passes each piece on this much later, in order.
    pub fn delay(mut self, time: RangeInclusive<Duration>) -> Self {
        self.delay = Some(time);
        self
    }

    /// Stops a direction for this long before one piece in `pieces`.
    pub fn stall(mut self, pieces: u64, time: RangeInclusive<Duration>) -> Self {
        self.stall = Some((pieces, time));
        self
    }

    /// Cuts each connection when one of its directions has passed on so many bytes: what both directions still hold is
    /// lost.
    pub fn drop_after(mut self, bytes: RangeInclusive<u64>) -> Self {
        self.drop_after = Some(bytes);
        self
    }

    /// Closes one connection in `connections` as soon as it is accepted.
    pub fn refuse(mut self, connections: u64) -> Self {
        self.refuse = Some(connections);
        self
    }

    /// Does so to the first connections only, so many; later ones pass everything on at once. Default: to all.
    pub fn first(mut self, connections: u64) -> Self {
        self.first = connections;
        self
    }

    /// What is to go wrong on connection `index`.
    pub(super) fn of(&self, index: u64) -> Self {
        match index < self.first {
            true => self.clone(),
            false => Self {
                random: self.random.clone(),
                ..Self::new(0)
            },
        }
    }

    /// The numbers of connection `index`.
    pub(super) fn numbers(&self, index: u64) -> Random {
        self.random.part(index)
    }
}
