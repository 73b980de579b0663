use std::time::Instant;

/// Lets `rate` events a second pass in the long run and `burst` at once.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: u32,
    burst: u32,
    /// Thousandths of a token.
    level: u64,
    updated: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self {
            rate,
            burst,
            level: u64::from(burst) * 1000,
            updated: now,
        }
    }

    /// Whether one more event may pass now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.updated).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        if elapsed > 0 {
            self.updated = now;
            self.level = self
                .level
                .saturating_add(elapsed.saturating_mul(u64::from(self.rate)))
                .min(u64::from(self.burst) * 1000);
        }
        match self.level.checked_sub(1000) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }
}
