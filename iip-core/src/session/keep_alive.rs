use std::time::{Duration, Instant};

use super::limits::LONGEST;

/// When a client makes sure that its server still answers (`docs/protocol.md`, section 9.3).
#[derive(Debug, Clone)]
pub struct KeepAlive {
    pub(crate) interval: Duration,
    pub(crate) idle_interval: Duration,
    pub(crate) timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            idle_interval: Duration::from_secs(300),
            timeout: Duration::from_secs(5),
        }
    }
}

impl KeepAlive {
    /// How long nothing may be received, with calls in flight, until a ping is sent; default 10 s. To a plain server it
    /// is a request for its counters.
    #[must_use]
    pub fn interval(mut self, value: Duration) -> Self {
        self.interval = value.min(LONGEST);
        self
    }

    /// The same without calls in flight, towards native servers; default 5 minutes. Must stay below the server's idle
    /// time-out (default 10 minutes), or idle connections are lost and opened again.
    #[must_use]
    pub fn idle_interval(mut self, value: Duration) -> Self {
        self.idle_interval = value.min(LONGEST);
        self
    }

    /// How long the answer may take before the connection counts as lost; default 5 s.
    #[must_use]
    pub fn timeout(mut self, value: Duration) -> Self {
        self.timeout = value.min(LONGEST);
        self
    }
}

/// The ping of one connection.
#[derive(Debug)]
pub(crate) struct Pinger {
    config: KeepAlive,
    last_read: Instant,
    outstanding: Option<Instant>,
    count: u64,
}

/// What a [`Pinger`] wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    Ping([u8; 8]),
    /// The answer did not come.
    Lost,
}

impl Pinger {
    pub(crate) fn new(config: KeepAlive, now: Instant) -> Self {
        Self {
            config,
            last_read: now,
            outstanding: None,
            count: 0,
        }
    }

    /// Anything received shows that the peer lives.
    pub(crate) fn received(&mut self, now: Instant) {
        self.last_read = now;
        self.outstanding = None;
    }

    /// Whether a ping is unanswered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.outstanding.is_some()
    }

    fn due(&self, busy: bool) -> Instant {
        match self.outstanding {
            Some(sent) => sent + self.config.timeout,
            None if busy => self.last_read + self.config.interval,
            None => self.last_read + self.config.idle_interval,
        }
    }

    /// When to ask again.
    pub(crate) fn deadline(&self, busy: bool) -> Instant {
        self.due(busy)
    }

    pub(crate) fn poll(&mut self, busy: bool, now: Instant) -> Need {
        if now < self.due(busy) {
            return Need::Nothing;
        }
        if self.outstanding.is_some() {
            return Need::Lost;
        }
        self.outstanding = Some(now);
        self.count = self.count.wrapping_add(1);
        Need::Ping(self.count.to_be_bytes())
    }
}
