use std::ops::RangeInclusive;
use std::time::Duration;

/// Numbers that follow from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Numbers of their own for part `index` of what the seed stands for.
    pub(super) fn part(&self, index: u64) -> Self {
        let mut part = Self::new(self.state ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03));
        part.next();
        part
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the range; its start if it is empty.
    pub(super) fn among(&mut self, range: &RangeInclusive<u64>) -> u64 {
        let (start, end) = (*range.start(), *range.end());
        match end.checked_sub(start).and_then(|len| len.checked_add(1)) {
            Some(count) => start + self.next() % count,
            None if end > start => self.next(),
            None => start,
        }
    }

    pub(super) fn time(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let nanos = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.among(&(nanos(range.start())..=nanos(range.end()))))
    }

    /// True once in `count` times.
    pub(super) fn once_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count.max(1))
    }
}
