use super::state::*;
use std::time::{Duration, Instant};

use crate::session::channel::{CallId, Profile};
use crate::session::control::ErrorReply;
use crate::session::error::{Ended, Violation};
use crate::session::event::{Lookup, ServerEvent};

/// How long a client may take to acknowledge that its connection ends (`docs/protocol.md`, section 9.4).
const ACK_GRACE: Duration = Duration::from_secs(5);

/// How long a peer may read nothing while more waits for it than the hard limit.
const OVERFULL_GRACE: Duration = Duration::from_secs(2);

impl<L: Lookup> ServerSession<L> {
    /// Ends a connection whose peer does not read while more and more waits for it. Large answers to a peer that does
    /// read may exceed the limit together.
    fn check_output(&mut self, now: Instant) {
        if self.output.len() <= self.limits.write_hard_limit {
            self.overfull = None;
            return;
        }
        let gone = self.output.handed_out();
        let since = match self.overfull {
            Some((since, before)) if before == gone => since,
            _ => now,
        };
        self.overfull = Some((since, gone));
        if now >= since + OVERFULL_GRACE {
            self.fail(Violation::OutputFull);
        } else {
            self.arm(Some(since + OVERFULL_GRACE));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` once the connection has ended.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer.filter(|_| self.ended.is_none())
    }

    /// Acts on every deadline that has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.next_timer = None;
        self.note_pause();
        self.check_output(now);
        if let Some(violation) = self.progress.check(&self.limits, now) {
            self.fail(violation);
        }
        let deadline = self.progress.deadline(&self.limits);
        self.arm(deadline);
        let (total, stall) = (self.limits.assembly_timeout, self.limits.assembly_stall);
        let mut next = None;
        let mut late = Vec::new();
        for (id, channel) in self.channels.iter_mut() {
            let mut wait_for = |at: Instant| next = Some(next.map_or(at, |n: Instant| n.min(at)));
            if let Reception::Assembly(assembling) = &channel.reception {
                match assembling.assembly.expires(total, stall) {
                    at if at <= now => late.push(id),
                    at => wait_for(at),
                }
            }
            if let Some(active) = &mut channel.active {
                if let (Reception::Stream { .. }, Some(flow)) =
                    (&channel.reception, &mut active.flow)
                    && let Some(at) = flow.expires(total, stall, now)
                    // One that waits for credit holds none, and its client cannot go on.
                    && !self.pool.waits(id)
                {
                    if at <= now {
                        // Asked for again if nobody answers the call.
                        flow.restart();
                        if let Some(again) = flow.expires(total, stall, now) {
                            wait_for(again);
                        }
                        let call = CallId {
                            channel: id,
                            generation: active.generation,
                        };
                        self.pending_events.push_back(ServerEvent::Stalled { call });
                    } else {
                        wait_for(at);
                    }
                }
                match active.deadline {
                    Some(at) if at <= now => {
                        active.deadline = None;
                        let call = CallId {
                            channel: id,
                            generation: active.generation,
                        };
                        self.pending_events.push_back(ServerEvent::Expired { call });
                    }
                    Some(at) => wait_for(at),
                    None => {}
                }
            }
        }
        for id in late {
            let channel = self.channels.entry(id);
            if let Reception::Assembly(assembling) = std::mem::take(&mut channel.reception) {
                let starved = self.pool.waits(id);
                let request = self.end_assembling(id, *assembling).1;
                let answer = if starved {
                    let text = "no credit for the rest of the request in time (receive_budget)";
                    ErrorReply::new(ErrorReply::OVERLOADED, text)
                } else {
                    let text =
                        "the request did not arrive in time (assembly_timeout, assembly_stall)";
                    ErrorReply::new(ErrorReply::DEADLINE_EXCEEDED, text)
                };
                let _ = self.refuse_request(
                    id,
                    false,
                    request.route as u32,
                    request.path,
                    &answer,
                    now,
                );
            }
        }
        self.arm(next);
        if self.drain != Drain::No && self.events_channel.is_none() {
            self.arm(Some(now + QUIESCENT));
        }
        if self.profile == Profile::Native {
            self.check_idle(now);
            self.check_acknowledged(now);
        }
    }

    /// Goes on without a client that does not acknowledge the drain, and would keep its connection for as long as it says
    /// anything at all.
    fn check_acknowledged(&mut self, now: Instant) {
        if let (Drain::Announced { acknowledged }, Some(_)) = (&mut self.drain, self.events_channel)
            && !*acknowledged
        {
            let by = *self.acknowledge_by.get_or_insert(now + ACK_GRACE);
            *acknowledged = by <= now;
            if by > now {
                self.arm(Some(by));
            }
        }
    }

    fn check_idle(&mut self, now: Instant) {
        if self.in_flight > 0 || self.incomplete > 0 {
            self.last_activity = now;
        }
        let at = self.last_activity + self.limits.idle_timeout;
        if at > now {
            self.idle_end = None;
            return self.arm(Some(at));
        }
        // A call may be on its way: the client is told first, and has as long again as a hello may take.
        let end = *self.idle_end.get_or_insert(now + ACK_GRACE);
        if end <= now {
            return self.end(Ended::Idle);
        }
        if self.drain == Drain::No {
            self.announce_drain();
        }
        self.arm(Some(end));
    }

    pub(super) fn arm(&mut self, at: Option<Instant>) {
        if let Some(at) = at {
            self.next_timer = Some(self.next_timer.map_or(at, |next| next.min(at)));
        }
    }
}
