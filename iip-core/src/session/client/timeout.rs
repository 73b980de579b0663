use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lease::Stage;
use super::state::{ClientSession, System};
use crate::session::channel::{CallId, Profile};
use crate::session::control::ConnectionEvent;
use crate::session::error::Ended;
use crate::session::event::ClientEvent;
use crate::session::keep_alive::Need;

/// How long an abandoned call may be unanswered until the connection is replaced.
pub(super) const ABANDONED_LIMIT: Duration = Duration::from_secs(5);

/// The same towards a plain server, which cannot be told that nobody waits any more.
const ABANDONED_LIMIT_PLAIN: Duration = Duration::from_secs(60);

/// Most abandoned calls on a plain connection.
const MAX_ABANDONED_PLAIN: usize = 16;

impl ClientSession {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` once the connection has ended.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer.filter(|_| self.ended.is_none())
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.next_timer = None;
        self.check_progress(now);
        let plain = self.profile == Some(Profile::Plain);
        let limit = if plain {
            ABANDONED_LIMIT_PLAIN
        } else {
            ABANDONED_LIMIT
        };
        let mut next = None;
        let mut stuck = plain && self.tombstones > MAX_ABANDONED_PLAIN;
        for (id, channel) in self.channels.iter_mut() {
            let mut wait_for = |at: Instant| next = Some(next.map_or(at, |n: Instant| n.min(at)));
            match (channel.stage, channel.deadline, channel.abandoned_at) {
                (Stage::Leased, Some(at), _) if at <= now => {
                    channel.deadline = None;
                    let call = CallId {
                        channel: id,
                        generation: channel.generation,
                    };
                    if !channel.response_complete {
                        self.pending_events.push_back(ClientEvent::Expired { call });
                    }
                }
                (Stage::Leased, Some(at), _) => wait_for(at),
                (Stage::Abandoned, _, Some(since)) if since + limit <= now => stuck = true,
                (Stage::Abandoned, _, Some(since)) => wait_for(since + limit),
                _ => {}
            }
        }
        self.arm(next);
        if stuck && !self.stuck {
            self.stuck = true;
            self.end_when_done();
            self.pending_events.push_back(ClientEvent::Stuck);
        }
        let busy = self.in_flight > 0;
        let pings = match self.profile {
            Some(Profile::Native) => self.events_channel.is_some(),
            // Nothing says that a plain server likes to be asked: only what is waited for is worth it.
            Some(Profile::Plain) => busy || self.pinger.is_waiting(),
            None => false,
        };
        if pings {
            match self.pinger.poll(busy, now) {
                Need::Nothing => {}
                Need::Ping(token) => self.ping(token),
                Need::Lost => self.end(Ended::Silent("a ping")),
            }
            let deadline = self.pinger.deadline(busy);
            self.arm(Some(deadline));
        }
    }

    /// Asks the server for a sign of life. Towards a plain one that is a request that every server answers, if only by
    /// refusing it.
    pub(super) fn ping(&mut self, token: [u8; 8]) {
        match self.profile {
            Some(Profile::Native) => self.push_event(&ConnectionEvent::Ping(token)),
            _ => self.request_system(System::Ping, Bytes::from_static(b"{}")),
        }
    }
}
