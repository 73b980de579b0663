//! What handlers do.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use fastrand::Rng;
use iip_core::session::{CallId, ErrorReply, MESSAGE_COST, Payload, ServerEvent};

use super::connection::{Connection, Handler};
use super::message::{
    CANCELLED, DEADLINE_EXCEEDED, NOT_FOUND, Name, OK, Reader, chunk, head, pieces, trailer,
};
use super::plan::{CallPlan, Ending, Plan, Shape};
use super::recorder::Promise;
use super::world::{Caller, World};

impl Handler {
    pub(super) fn can_start(&self, plan: &Plan) -> bool {
        // A handler of one request message has to have it.
        !self.started
            && (plan.calls[self.call].streams_requests() || self.complete || self.received > 0)
    }

    /// Whether it has something to say now.
    pub(super) fn can_answer(&self, plan: &Plan) -> bool {
        let plan = &plan.calls[self.call];
        if !self.started || self.waits || plan.ending == Ending::Silence {
            return false;
        }
        let more = !self.chunks.is_empty() || self.sent < plan.responses.len();
        match plan.shape {
            Shape::ServerStream | Shape::Both if more => true,
            _ => self.has_heard(plan),
        }
    }

    /// Whether it has all of its request, or does not care.
    fn has_heard(&self, plan: &CallPlan) -> bool {
        plan.ending == Ending::Early || self.complete && self.unconsumed.is_empty()
    }
}

impl World {
    /// A handler sees its request for the first time.
    pub(super) fn start(&mut self, index: usize, at: usize) {
        let Connection {
            server, handlers, ..
        } = &mut self.connections[index];
        let handler = &mut handlers[at];
        let plan = &self.plan.calls[handler.call];
        if plan.ending == Ending::Refuse && self.calls[handler.call].attempts == 1 {
            let reply = ErrorReply::new(ErrorReply::OVERLOADED, "not now");
            server.refuse(handler.id, &reply);
            handlers.swap_remove(at);
            return;
        }
        handler.started = true;
        self.recorder.execute(handler.attempt);
    }

    /// A handler takes a message.
    pub(super) fn consume(&mut self, index: usize, at: usize) {
        let connection = &mut self.connections[index];
        let handler = &mut connection.handlers[at];
        if let Some(cost) = handler.unconsumed.pop_front() {
            connection.server.consumed(handler.id, cost);
        }
    }

    /// A handler says something.
    pub(super) fn answer(&mut self, index: usize, at: usize) {
        let connection = &mut self.connections[index];
        let (taken, over) = connection.answer(at, &self.plan, &mut self.rng);
        self.recorder.expect(taken, Promise::Pairing, || {
            "a response was not taken although it is owed".into()
        });
        if over {
            connection.handlers.swap_remove(at);
        }
    }
}

impl World {
    pub(super) fn hear_server(&mut self, index: usize) {
        while let Some(event) = self.connections[index].server.poll_event() {
            match event {
                ServerEvent::Request {
                    call,
                    data,
                    enveloped,
                    complete,
                    arrived,
                    ..
                } => self.receive(index, call, &data, enveloped, complete, arrived),
                ServerEvent::Data { call, data, last } => {
                    let connection = &mut self.connections[index];
                    if let Some(at) = connection.handler_of(call) {
                        connection.handlers[at].complete = last;
                        self.receive_more(index, at, &data);
                    }
                }
                ServerEvent::Cancelled { call, .. } => {
                    let connection = &mut self.connections[index];
                    let handler = connection.handler_of(call);
                    let handler = handler.map(|at| connection.handlers.swap_remove(at));
                    if let Some(attempt) = handler.as_ref().map(|handler| handler.attempt) {
                        let wanted = |caller: &Caller| {
                            caller.attempt == attempt && !caller.cancelled && !caller.failed
                        };
                        let wanted = self.callers.iter().any(wanted);
                        self.recorder.expect(!wanted, Promise::Pairing, || {
                            "a call was cancelled that somebody waits for".into()
                        });
                    }
                    let not_processed = handler.is_none_or(|handler| !handler.started);
                    let answer = Payload::from(Bytes::from(trailer(CANCELLED, not_processed)));
                    self.connections[index].server.abort(call, answer);
                }
                ServerEvent::Expired { call } | ServerEvent::Stalled { call } => {
                    let connection = &mut self.connections[index];
                    let handler = connection.handler_of(call);
                    if let Some(at) = handler {
                        let handler = connection.handlers.swap_remove(at);
                        if self.plan.calls[handler.call].shape == Shape::Raw {
                            let late = ErrorReply::new(ErrorReply::DEADLINE_EXCEEDED, "late");
                            connection.server.refuse(call, &late);
                        } else {
                            let answer = trailer(DEADLINE_EXCEEDED, !handler.started);
                            let answer = Payload::from(Bytes::from(answer));
                            connection.server.abort(call, answer);
                        }
                    }
                }
                ServerEvent::Writable { call } => {
                    let connection = &mut self.connections[index];
                    if let Some(at) = connection.handler_of(call) {
                        connection.handlers[at].waits = false;
                    }
                }
            }
        }
        self.end_connection(index);
    }

    /// A first frame, or a whole request.
    fn receive(
        &mut self,
        index: usize,
        id: CallId,
        data: &[u8],
        enveloped: bool,
        complete: bool,
        arrived: Instant,
    ) {
        let mut handler = Handler {
            id,
            attempt: usize::MAX,
            call: 0,
            reader: Reader::default(),
            received: 0,
            unconsumed: VecDeque::new(),
            complete,
            started: false,
            sent: 0,
            begun: false,
            chunks: VecDeque::new(),
            waits: false,
        };
        let attempt = if enveloped {
            let readable = handler.reader.take(data);
            self.recorder.expect(readable, Promise::Pairing, || {
                "a request that cannot be read".into()
            });
            handler.reader.head
        } else {
            let number = data.first_chunk().map(|number| u32::from_be_bytes(*number));
            number.map(|number| number as usize)
        };
        let Some(caller) = attempt.and_then(|attempt| self.recorder.call_of(attempt)) else {
            return self
                .recorder
                .breach(Promise::Pairing, "a request that nobody made");
        };
        handler.call = caller;
        handler.attempt = attempt.unwrap_or_default();
        let channel = id.channel.0;
        let connection = &mut self.connections[index];
        let before = connection.latest.insert(channel, handler.attempt);
        self.recorder.expect(
            before.is_none_or(|before| before < handler.attempt),
            Promise::Order,
            || format!("a request came behind a later one on channel {channel}"),
        );
        let plan = &self.plan.calls[caller];
        if let Some(deadline) = plan.deadline {
            connection.server.set_deadline(id, arrived + deadline);
        }
        if !enveloped {
            let name = Name {
                attempt: handler.attempt,
                response: false,
                index: 0,
            };
            let same = name.is(data, plan.requests[0]);
            self.recorder.expect(same, Promise::Pairing, || {
                "a request has other data than its caller gave".into()
            });
        }
        connection.handlers.push(handler);
        if enveloped {
            let at = self.connections[index].handlers.len() - 1;
            self.receive_more(index, at, &[]);
        }
    }

    /// Further records of a request.
    fn receive_more(&mut self, index: usize, at: usize, data: &[u8]) {
        let handler = &mut self.connections[index].handlers[at];
        let mut right = handler.reader.take(data) && handler.reader.head == Some(handler.attempt);
        let plan = &self.plan.calls[handler.call];
        for message in std::mem::take(&mut handler.reader.messages) {
            let name = Name {
                attempt: handler.attempt,
                response: false,
                index: handler.received,
            };
            let size = plan.requests.get(handler.received);
            right &= size.is_some_and(|size| name.is(&message, *size));
            handler.received += 1;
            if plan.shape != Shape::Unary {
                handler.unconsumed.push_back(message.len() + MESSAGE_COST);
            }
        }
        if handler.complete {
            right &= handler.received == plan.requests.len() && !handler.reader.is_partial();
        }
        self.recorder.expect(right, Promise::Pairing, || {
            "a request has other messages than its caller gave".into()
        });
    }
}

impl Connection {
    /// Whether the session took it, and whether the response is complete.
    fn answer(&mut self, at: usize, plan: &Plan, rng: &mut Rng) -> (bool, bool) {
        let Self {
            server, handlers, ..
        } = self;
        let handler = &mut handlers[at];
        let plan = &plan.calls[handler.call];
        let message = |handler: &Handler, index: usize| {
            let name = Name {
                attempt: handler.attempt,
                response: true,
                index,
            };
            name.message(plan.responses[index])
        };
        let fails = plan.ending == Ending::Fail;
        match plan.shape {
            Shape::Raw => {
                let data = Bytes::from(message(handler, 0));
                return (server.respond(handler.id, data.into()), true);
            }
            Shape::Unary | Shape::ClientStream => {
                let head = head(handler.attempt);
                if fails {
                    let data = [head, trailer(NOT_FOUND, false)].concat();
                    return (server.respond(handler.id, Bytes::from(data).into()), true);
                }
                let mut pieces = pieces(&message(handler, 0));
                pieces[0].splice(0..0, head);
                if rng.bool() {
                    let last = pieces.len() - 1;
                    pieces[last].extend(trailer(OK, false));
                }
                let payload = match pieces.len() {
                    1 => Payload::from(Bytes::from(pieces.remove(0))),
                    _ => Payload::from(pieces.into_iter().map(chunk).collect::<Vec<_>>()),
                };
                return (server.respond(handler.id, payload), true);
            }
            Shape::ServerStream | Shape::Both => {}
        }
        if !server.has_room(handler.id) {
            handler.waits = true;
            return (true, false);
        }
        let begins = !std::mem::replace(&mut handler.begun, true);
        let mut records = if begins {
            head(handler.attempt)
        } else {
            Vec::new()
        };
        if handler.chunks.is_empty() && handler.sent < plan.responses.len() {
            let message = message(handler, handler.sent);
            handler.chunks = pieces(&message).into_iter().map(chunk).collect();
            handler.sent += 1;
        }
        if let Some(chunk) = handler.chunks.pop_front() {
            records.extend_from_slice(&chunk.body);
        }
        let more = !handler.chunks.is_empty() || handler.sent < plan.responses.len();
        let over = !more && handler.has_heard(plan) && (records.is_empty() || rng.bool());
        if over && fails {
            records.extend(trailer(NOT_FOUND, false));
        } else if over && rng.bool() {
            records.extend(trailer(OK, false));
        }
        (server.push(handler.id, chunk(records), over), over)
    }
}
