//! What callers do.

use std::collections::VecDeque;

use bytes::Bytes;
use iip_core::session::{
    Cancelled, ClientEvent, Delivery, ErrorReply, Format, MESSAGE_COST, OpenError, OpenOptions,
    Payload,
};

use super::connection::path;
use super::message::{
    CANCELLED, DEADLINE_EXCEEDED, Name, Reader, UNAVAILABLE, chunk, head, pieces,
};
use super::plan::{Shape, Stall};
use super::recorder::{Outcome, Promise};
use super::world::{Caller, State, World};

/// How often a call is tried that never ran.
const ATTEMPTS: usize = 3;

impl World {
    /// A caller makes its call, which has to wait for a channel.
    pub(super) fn make(&mut self, index: usize) {
        let plan = &self.plan.calls[index];
        let call = &mut self.calls[index];
        call.state = State::Waiting;
        call.deadline = plan.deadline.map(|deadline| self.now + deadline);
        self.recorder.count.calls += 1;
        self.recorder.count.stalls += usize::from(plan.stall != Stall::Nobody);
        // As a pool does.
        if let Some(connection) = self.connections.last_mut() {
            connection.client.want_channels();
        }
    }

    fn request(&self, call: usize, attempt: usize, index: usize) -> Option<Vec<u8>> {
        let name = Name {
            attempt,
            response: false,
            index,
        };
        let size = self.plan.calls[call].requests.get(index)?;
        Some(name.message(*size))
    }

    /// A channel is free: the call goes out.
    pub(super) fn begin(&mut self, index: usize) {
        let attempt = self.recorder.begin(index);
        let plan = &self.plan.calls[index];
        let streams = plan.streams_requests();
        let mut chunks = VecDeque::new();
        let mut next = 0;
        let payload = if plan.shape == Shape::Raw {
            let data = self.request(index, attempt, 0).unwrap_or_default();
            Payload::from(Bytes::from(data))
        } else {
            let mut first = head(attempt);
            if !streams || self.rng.bool() {
                let message = self.request(index, attempt, 0);
                chunks = message
                    .map(|message| pieces(&message))
                    .unwrap_or_default()
                    .into();
                next = 1;
            }
            first.extend(chunks.pop_front().unwrap_or_default());
            if !streams && !chunks.is_empty() {
                let chunks = std::iter::once(first).chain(chunks.drain(..));
                Payload::from(chunks.map(chunk).collect::<Vec<_>>())
            } else {
                Payload::from(Bytes::from(first))
            }
        };
        let whole = matches!(plan.shape, Shape::Raw | Shape::Unary);
        let options = OpenOptions {
            format: match plan.shape {
                Shape::Raw => Format::Raw,
                _ => Format::Enveloped,
            },
            delivery: match whole {
                true => Delivery::Whole,
                false => Delivery::Frames,
            },
            deadline: self.calls[index].deadline,
            more: streams,
        };
        let at = self.connections.len() - 1;
        let path = path(plan.shape);
        let client = &mut self.connections[at].client;
        let id = match client.open(&path, options, payload, self.now) {
            Ok(id) => id,
            Err(error) => {
                let known = matches!(error, OpenError::Closed(_) | OpenError::NoChannel(_));
                self.recorder.expect(known, Promise::OneOutcome, || {
                    format!("a call cannot begin: {error:?}")
                });
                return self.recorder.end_attempt(attempt, Outcome::NotSent);
            }
        };
        let call = &mut self.calls[index];
        call.state = State::Running;
        call.attempts += 1;
        self.callers.push(Caller {
            call: index,
            attempt,
            connection: at,
            id,
            chunks: chunks.into_iter().map(chunk).collect(),
            next,
            sent: !streams,
            waits: false,
            reader: Reader::default(),
            whole,
            received: 0,
            unconsumed: VecDeque::new(),
            complete: false,
            failed: false,
            cancelled: false,
        });
    }

    /// A caller sends more of its request.
    pub(super) fn push(&mut self, at: usize) {
        let caller = &self.callers[at];
        let (id, call, attempt) = (caller.id, caller.call, caller.attempt);
        let client = &self.connections[caller.connection].client;
        if !client.has_room(id) {
            self.callers[at].waits = true;
            return;
        }
        if caller.chunks.is_empty()
            && let Some(message) = self.request(call, attempt, caller.next)
        {
            let caller = &mut self.callers[at];
            caller.next += 1;
            caller.chunks = pieces(&message).into_iter().map(chunk).collect();
        }
        let caller = &mut self.callers[at];
        let piece = caller.chunks.pop_front();
        let more = !caller.chunks.is_empty() || caller.next < self.plan.calls[call].requests.len();
        let last = !more && (piece.is_none() || self.rng.bool());
        let piece = piece.unwrap_or_else(|| chunk(Vec::new()));
        let client = &mut self.connections[caller.connection].client;
        let taken = client.push(id, piece, last);
        // Not taken: the answer came early.
        caller.sent = last || !taken;
    }

    /// A caller takes a message.
    pub(super) fn take(&mut self, at: usize) {
        let caller = &mut self.callers[at];
        let client = &mut self.connections[caller.connection].client;
        if let Some(cost) = caller.unconsumed.pop_front() {
            client.consumed(caller.id, cost, self.now);
        }
        self.end_if_taken(at);
    }

    /// A caller loses its patience.
    pub(super) fn give_up(&mut self, at: usize) {
        self.recorder.count.cancelled += 1;
        let caller = &mut self.callers[at];
        let client = &mut self.connections[caller.connection].client;
        if !caller.sent && self.rng.bool() {
            // It waits for the answer nevertheless.
            caller.sent = true;
            match client.cancel_request(caller.id) {
                Cancelled::Withdrawn => self.fail(at, Outcome::NotSent, false),
                Cancelled::Told | Cancelled::No => caller.cancelled = true,
            }
            return;
        }
        let caller = self.callers.swap_remove(at);
        self.conclude(&caller, Outcome::Unknown, false);
        self.release(&caller);
    }

    /// Gives the channel back.
    pub(super) fn release(&mut self, caller: &Caller) {
        let connection = &mut self.connections[caller.connection];
        if connection.client_gone {
            return;
        }
        connection.client.release(caller.id, self.now);
        let raw = self.plan.calls[caller.call].shape == Shape::Raw;
        if raw
            && !caller.complete
            && let Some(frame) = self.plant.on_tombstone(caller.id.channel)
        {
            connection.server_out.extend_from_slice(&frame);
        }
    }

    /// The call is over for its caller, who has still to notice.
    fn fail(&mut self, at: usize, outcome: Outcome, again: bool) {
        let caller = &mut self.callers[at];
        if caller.failed {
            return;
        }
        caller.failed = true;
        let (call, attempt) = (caller.call, caller.attempt);
        self.settle(call, attempt, outcome, again);
    }

    /// The call is over.
    pub(super) fn conclude(&mut self, caller: &Caller, outcome: Outcome, again: bool) {
        self.settle(caller.call, caller.attempt, outcome, again);
    }

    /// `again`: it is tried once more if it never ran.
    fn settle(&mut self, index: usize, attempt: usize, outcome: Outcome, again: bool) {
        self.recorder.end_attempt(attempt, outcome);
        let call = &mut self.calls[index];
        let late = call.deadline.is_some_and(|at| at <= self.now);
        if again && outcome.says_never() && call.attempts < ATTEMPTS && !late {
            call.state = State::Waiting;
            self.recorder.count.repeated += 1;
            return;
        }
        call.state = State::Over;
        self.recorder.end_call(index, outcome);
    }

    /// Calls whose time is over although no session counts it: they wait for a channel, or their callers do not take
    /// what is there.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        for index in 0..self.calls.len() {
            let call = &mut self.calls[index];
            if call.state == State::Waiting && call.deadline.is_some_and(|at| at <= now) {
                call.state = State::Over;
                self.recorder.count.expired += 1;
                self.recorder.end_call(index, Outcome::NotSent);
            }
        }
        for at in 0..self.callers.len() {
            let caller = &self.callers[at];
            let late = self.calls[caller.call].deadline.is_some_and(|at| at <= now);
            if caller.complete && late {
                self.fail(at, Outcome::Unknown, false);
            }
        }
    }

    fn end_if_taken(&mut self, at: usize) {
        let caller = &self.callers[at];
        if caller.failed || !caller.complete || !caller.unconsumed.is_empty() {
            return;
        }
        let outcome = match caller.reader.trailer {
            Some((CANCELLED | DEADLINE_EXCEEDED | UNAVAILABLE, true)) => Outcome::NotProcessed,
            Some((CANCELLED | DEADLINE_EXCEEDED | UNAVAILABLE, false)) => Outcome::Unknown,
            // What was given up is cut short.
            None if caller.cancelled => Outcome::Unknown,
            _ => Outcome::Done,
        };
        let caller = self.callers.swap_remove(at);
        self.conclude(&caller, outcome, false);
        self.release(&caller);
    }

    pub(super) fn hear_client(&mut self, index: usize) {
        while let Some(event) = self.connections[index].client.poll_event() {
            let position = |id| {
                let of_call = |caller: &Caller| {
                    caller.connection == index && caller.id == id && !caller.failed
                };
                self.callers.iter().position(of_call)
            };
            match event {
                ClientEvent::Response { call, data, last } => {
                    if let Some(at) = position(call) {
                        self.hear(at, &data, last);
                    }
                }
                ClientEvent::Refused { call, reply } => {
                    if let Some(at) = position(call) {
                        self.fail(at, refused(&reply), true);
                    }
                }
                ClientEvent::TooLarge { .. } => {
                    let text = "a message is too large that is not";
                    self.recorder.breach(Promise::Peace, text);
                }
                ClientEvent::Expired { call } => {
                    if let Some(at) = position(call) {
                        self.recorder.count.expired += 1;
                        let client = &mut self.connections[index].client;
                        let outcome = match client.expire(call) {
                            true => Outcome::Unknown,
                            false => Outcome::NotSent,
                        };
                        self.fail(at, outcome, false);
                    }
                }
                ClientEvent::Writable { call } => {
                    if let Some(at) = position(call) {
                        self.callers[at].waits = false;
                    }
                }
                _ => {}
            }
        }
        self.end_connection(index);
    }

    /// A response, or a part of one.
    fn hear(&mut self, at: usize, data: &[u8], last: bool) {
        let caller = &mut self.callers[at];
        let plan = &self.plan.calls[caller.call];
        let name = |index| Name {
            attempt: caller.attempt,
            response: true,
            index,
        };
        if plan.shape == Shape::Raw {
            if let Some(reply) = ErrorReply::parse(data) {
                return self.fail(at, refused(&reply), true);
            }
            let right = last && name(0).is(data, plan.responses[0]);
            caller.complete = true;
            self.recorder.expect(right, Promise::Pairing, || {
                "the answer to a raw call is another's".into()
            });
            return self.end_if_taken(at);
        }
        let mut right = caller.reader.take(data);
        right &= caller.reader.head.is_none_or(|head| head == caller.attempt);
        for message in std::mem::take(&mut caller.reader.messages) {
            let size = plan.responses.get(caller.received);
            right &= size.is_some_and(|size| name(caller.received).is(&message, *size));
            caller.received += 1;
            if !caller.whole {
                caller.unconsumed.push_back(message.len() + MESSAGE_COST);
            }
        }
        if last {
            caller.complete = true;
            let whole = caller.received == plan.responses.len() && !caller.reader.is_partial();
            right &= whole || caller.cancelled || caller.reader.trailer.is_some();
        }
        self.recorder.expect(right, Promise::Pairing, || {
            "a response has other messages than its handler gave".into()
        });
        if last {
            self.end_if_taken(at);
        }
    }
}

/// What a refusal says of the call.
fn refused(reply: &ErrorReply) -> Outcome {
    match reply.code {
        ErrorReply::DEADLINE_EXCEEDED | ErrorReply::HANDLER_FAILED => Outcome::Unknown,
        _ => Outcome::NotProcessed,
    }
}
