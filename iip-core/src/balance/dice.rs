use std::sync::atomic::{AtomicU64, Ordering};

/// The step of a Weyl sequence: odd, and 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Random numbers for many threads, without a lock: each thread's own, or one sequence from a seed.
#[derive(Debug)]
pub(super) struct Dice {
    /// `None`: the thread's own.
    sequence: Option<AtomicU64>,
}

impl Dice {
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self {
            sequence: seed.map(AtomicU64::new),
        }
    }

    /// 64 random bits.
    pub(super) fn roll(&self) -> u64 {
        match &self.sequence {
            None => fastrand::u64(..),
            Some(sequence) => mixed(sequence.fetch_add(STEP, Ordering::Relaxed)),
        }
    }

    /// Puts `items` into a random order.
    pub(super) fn shuffle<T>(&self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, below(self.roll() >> 32, index + 1));
        }
    }
}

/// A number below `count` from 32 random bits. It favours none by more than `count` in 2^32.
pub(super) fn below(bits: u64, count: usize) -> usize {
    debug_assert!(bits >> 32 == 0, "more than 32 bits");
    (bits.wrapping_mul(count as u64) >> 32) as usize
}

/// Spreads what differs in few bits over all of them: the finaliser of SplitMix64, one to one.
pub(super) const fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
