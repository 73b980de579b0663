use super::state::*;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::session::channel::Profile;
use crate::session::control::{ConnectionEvent, ErrorReply};
use crate::session::error::Ended;
use crate::session::event::{Lookup, ServerEvent};
use crate::session::limits::LONGEST;
use crate::wire::{ChannelId, Path};

/// How long a client may take to acknowledge that its connection ends (`docs/protocol.md`, section 9.4).
pub(super) const ACK_GRACE: Duration = Duration::from_secs(5);

/// How long before the end of the grace streams are ended, so that their trailers arrive; at most half of the grace.
const STREAM_NOTICE: Duration = Duration::from_secs(2);

/// How long after the grace requests are still refused, for a client that has not acknowledged.
const REFUSAL: Duration = Duration::from_secs(2);

/// How long a plain connection must be quiet before a draining server closes it: its client cannot be told. At least so
/// long, and so many round trips.
const QUIESCENT: Duration = Duration::from_millis(100);
const QUIESCENT_ROUND_TRIPS: u32 = 4;

/// Longest round trip that is believed.
const LONGEST_ROUND_TRIP: Duration = Duration::from_millis(250);

/// Whether the time has come; it comes once.
fn is_due(at: &mut Option<Instant>, now: Instant) -> bool {
    at.take_if(|at| *at <= now).is_some()
}

impl<L: Lookup> ServerSession<L> {
    /// Lets the connection drain by itself at that time, with a grace of its own.
    pub fn set_age(&mut self, at: Instant, grace: Duration) {
        self.drain_times.get_or_insert_default().age = Some((at, grace));
        self.arm(Some(at));
    }

    /// Tells the client to place its calls elsewhere. What arrives is still served until [`is_drained`](Self::is_drained),
    /// or until the grace is over: then [`ServerEvent::GraceOver`] asks for the answers that are still owed, and requests
    /// are refused. [`ServerEvent::EndStreams`] comes a little earlier. Without a grace it takes as long as it takes. Called
    /// again, it can make the grace shorter.
    pub fn drain(&mut self, grace: Option<Duration>, now: Instant) {
        if self.drain == Drain::No {
            self.announce_drain();
            self.check_acknowledged(now);
            // Sets the time at which a quiet connection is.
            self.is_drained(now);
        }
        let Some(grace) = grace.map(|grace| grace.min(LONGEST)) else {
            return;
        };
        let times = self.drain_times.get_or_insert_default();
        let ends = now + grace;
        let sooner = times.grace.is_none_or(|before| ends < before);
        if sooner && self.drain == Drain::Announced {
            times.streams = Some(ends - STREAM_NOTICE.min(grace / 2));
            times.grace = Some(ends);
            let next = times.next();
            self.arm(next);
        }
    }

    pub(super) fn announce_drain(&mut self) {
        self.drain = Drain::Announced;
        self.push_drain();
    }

    pub(super) fn push_drain(&mut self) {
        let text = String::from("the server is stopping");
        self.push_event(&ConnectionEvent::GoAway { code: 0, text });
    }

    /// Whether [`drain`](Self::drain) was called, or the connection drains by itself.
    pub fn is_draining(&self) -> bool {
        self.drain != Drain::No
    }

    /// Whether requests are refused: the grace is over.
    pub(super) fn refuses(&self) -> bool {
        matches!(self.drain, Drain::Refusing | Drain::Done)
    }

    /// Whether the connection may be closed without losing a call: nothing is in flight, no response waits for its
    /// client's credit, and the client has acknowledged that it places no more here (a native one) or has been quiet for
    /// 100 ms and four round trips (a plain one).
    pub fn is_drained(&mut self, now: Instant) -> bool {
        let idle = self.in_flight == 0
            && self.queued == 0
            && self.incomplete == 0
            && self.output.waiting() == 0;
        if self.drain == Drain::No || !idle {
            self.quiet_since = None;
            return false;
        }
        if self.acknowledged {
            return true;
        }
        match (self.drain, self.events_channel) {
            // The acknowledgement comes, or its time passes.
            (Drain::Announced | Drain::Refusing, Some(_)) => false,
            // A native client is about to open its event stream, with calls behind it.
            (Drain::Refusing, None) => self.profile == Profile::Plain,
            (Drain::Announced, None) => {
                let since = *self.quiet_since.get_or_insert(now);
                let until = since.max(self.last_activity) + self.quiescence();
                if now < until {
                    self.arm(Some(until));
                }
                now >= until
            }
            _ => true,
        }
    }

    /// How long nothing may come from a client that cannot be told.
    fn quiescence(&self) -> Duration {
        match self.profile {
            // It is about to open its event stream, and will be told there.
            Profile::Native => ACK_GRACE,
            Profile::Plain => {
                let round_trip = self.round_trip.unwrap_or_default();
                let several = round_trip.min(LONGEST_ROUND_TRIP) * QUIESCENT_ROUND_TRIPS;
                several.max(QUIESCENT)
            }
        }
    }

    /// A plain client is given an answer for which it waits before it goes on.
    pub(super) fn begin_round_trip(&mut self, now: Instant) {
        self.turned_at = Some(now);
    }

    /// A plain client makes a call. The shortest time that took since the answer is hardly more than a round trip, unless
    /// it came together with the question.
    pub(super) fn end_round_trip(&mut self, now: Instant) {
        if let Some(at) = self.turned_at.take().filter(|at| *at < now) {
            let took = now.saturating_duration_since(at);
            self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
        }
    }

    /// The last word of a drained connection, or of one whose time is over: completes the event stream. Requests that
    /// still arrive are refused.
    pub fn finish(&mut self) {
        self.push_event_records(Vec::new(), true);
        self.drain = Drain::Done;
    }

    /// Acts on what is due of a drain.
    pub(super) fn check_drain(&mut self, now: Instant) {
        if let Some(times) = &mut self.drain_times {
            let age = times.age.take_if(|(at, _)| *at <= now);
            if let Some((_, grace)) = age {
                self.drain(Some(grace), now);
            }
        }
        if let Some(times) = &mut self.drain_times {
            let (streams, grace) = (
                is_due(&mut times.streams, now),
                is_due(&mut times.grace, now),
            );
            let close = is_due(&mut times.close, now);
            if grace {
                times.close = Some(now + REFUSAL);
            }
            let next = times.next();
            self.arm(next);
            if streams && !grace {
                self.pending_events.push_back(ServerEvent::EndStreams);
            }
            if grace {
                self.end_grace(now);
            }
            if close {
                self.finish();
                self.end(Ended::Locally);
            }
        }
        if self.drain != Drain::No {
            self.check_acknowledged(now);
            // Whether it is drained now is for whoever drives the session to ask.
            self.is_drained(now);
        }
    }

    /// Refuses what no handler has seen, and asks for the rest.
    fn end_grace(&mut self, now: Instant) {
        if self.refuses() {
            return;
        }
        self.drain = Drain::Refusing;
        let stopping = stopping();
        let ids: Vec<ChannelId> = self.channels.iter_mut().map(|(id, _)| id).collect();
        for id in ids {
            let channel = self.channels.entry(id);
            let mut held = 0;
            for pending in &mut channel.queue {
                if let Pending::Request(request) = pending {
                    held += request.data.len();
                    *pending = Pending::Answer {
                        path: request
                            .path
                            .take()
                            .map_or(Path::ROOT, |p| p.without_query()),
                        data: Bytes::from(stopping.to_json()),
                        route: request.route as u32,
                    };
                }
            }
            self.held -= held;
            if matches!(self.channels.entry(id).reception, Reception::Assembly(_)) {
                self.refuse_assembling(id, &stopping, now);
            }
        }
        self.pending_events.push_back(ServerEvent::GraceOver);
    }

    /// Goes on without a client that does not acknowledge the drain, and would keep its connection for as long as it says
    /// anything at all.
    fn check_acknowledged(&mut self, now: Instant) {
        if self.drain == Drain::Announced && self.events_channel.is_some() && !self.acknowledged {
            let by = *self.acknowledge_by.get_or_insert(now + ACK_GRACE);
            self.acknowledged = by <= now;
            if by > now {
                self.arm(Some(by));
            }
        }
    }
}

/// What a request gets that comes after the grace.
pub(super) fn stopping() -> ErrorReply {
    ErrorReply::new(ErrorReply::DRAINING, "the server is stopping")
}
