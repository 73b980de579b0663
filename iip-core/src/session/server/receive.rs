use super::state::*;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use crate::session::assembly::{Added, Assembly, SmallFrames};
use crate::session::channel::{CallId, Delivery, Format, MessageState, Profile};
use crate::session::control::{self, ENVELOPE_LENGTH, ErrorReply};
use crate::session::cost::{MESSAGE_COST, begins_message, cancels, cost};
use crate::session::credit::{Excess, Inflow};
use crate::session::error::Violation;
use crate::session::event::{Lookup, RouteInfo, ServerEvent};
use crate::session::limits::most_data;
use crate::session::payload::MAX_CHUNK;
use crate::session::tally::NO_ROUTE;
use crate::wire::{ChannelId, Frame, FrameKind, Path};

/// Data up to this size is looked at although its message is read past.
const SMALL: usize = 64;

/// Bytes that say that a message is empty (`docs/protocol.md`, section 12.3).
const EMPTY_MESSAGE: usize = 4;

/// What a peer floods with that sends frames without messages.
const CHAFF: &str = "frames that carry next to nothing";

/// Bytes of a frame beside its path and data.
const HEADER: usize = 10;

impl<L: Lookup> ServerSession<L> {
    /// Checks the header of a frame whose data is still arriving, so that what cannot be accepted costs no memory.
    pub(super) fn look_ahead(&mut self, buf: &mut BytesMut, now: Instant) -> Result<(), Violation> {
        let Some(header) = self.decoder.pending().copied() else {
            return Ok(());
        };
        self.check_frame(header.kind, header.channel)?;
        let channel = self.channels.get(header.channel);
        let native = self.profile == Profile::Native;
        let (enveloped, own) = match channel.map(|channel| &channel.reception) {
            Some(Reception::Assembly(assembling)) => {
                let request = &assembling.request;
                (request.envelope.is_some(), request.max_message)
            }
            _ if header.kind.is_first() && header.length as usize > MAX_CHUNK => {
                let path = header.path_in(buf).map(without_query);
                match path.and_then(|path| self.routes.find(path)) {
                    Some(route) => (
                        native && route.format == Format::Enveloped,
                        route.max_message,
                    ),
                    None => (native, None),
                }
            }
            _ => (native, None),
        };
        let limit = self.receive_limit(enveloped, own);
        let discarding = channel.is_some_and(|channel| match &channel.reception {
            // A small one may say that nobody waits for the answer any more.
            Reception::Discard(_) => header.length as usize > SMALL,
            Reception::Assembly(assembling) => {
                assembling.assembly.is_refused()
                    || assembling.assembly.held() + header.length as usize > limit
            }
            _ => false,
        });
        // What is handed over frame by frame is not held here.
        let streamed =
            channel.is_some_and(|channel| matches!(channel.reception, Reception::Stream { .. }));
        let over = header.length as usize > limit
            || self.held + header.length as usize > self.limits.receive_budget;
        if !discarding && (!over || streamed) {
            return Ok(());
        }
        match self.decoder.skip(buf) {
            Some(frame) => self.handle_frame(frame, header.length as usize, now),
            None => Ok(()),
        }
    }

    pub(super) fn check_frame(
        &self,
        kind: FrameKind,
        channel: ChannelId,
    ) -> Result<MessageState, Violation> {
        let unexpected = Violation::UnexpectedKind { kind, channel };
        if !kind.is_request() {
            return Err(unexpected);
        }
        if channel.0 > self.granted {
            return Err(Violation::UnknownChannel(channel));
        }
        self.channels
            .get(channel)
            .map_or(MessageState::Idle, |channel| channel.incoming)
            .after(kind)
            .ok_or(unexpected)
    }

    /// `announced` is larger than the frame's data where that is skipped.
    pub(super) fn handle_frame(
        &mut self,
        frame: Frame,
        announced: usize,
        now: Instant,
    ) -> Result<(), Violation> {
        let (kind, id) = (frame.kind(), frame.channel());
        let next = self.check_frame(kind, id)?;
        if !self.admit(&frame, announced) {
            return Err(Violation::Flood(CHAFF));
        }
        let channel = self.channels.entry(id);
        channel.incoming = next;
        if !kind.is_first() {
            let route = channel.arriving();
            let bytes = HEADER + frame.path().len() + announced;
            self.output.tally.receive(route, id, bytes, kind.is_last());
        }
        if kind.is_first() {
            self.begin_request(frame, announced, now)?;
        } else {
            self.continue_request(id, kind, frame.into_data(), announced, now)?;
        }
        if next == MessageState::Idle && self.profile == Profile::Plain {
            self.settle(id);
        }
        Ok(())
    }

    /// Counts a frame; false if there were too many that carry next to nothing. Messages, however small, are
    /// something, and credit bounds them.
    fn admit(&mut self, frame: &Frame, announced: usize) -> bool {
        let kind = frame.kind();
        let small = !kind.is_first() && !kind.is_last() && announced < SmallFrames::SIZE;
        if small {
            let channel = self.channels.get(frame.channel());
            let enveloped = channel.is_some_and(|channel| match &channel.reception {
                Reception::Stream { envelope } => envelope.is_some(),
                Reception::Assembly(assembling) => assembling.flow.is_some(),
                _ => false,
            });
            let events =
                channel.is_some_and(|channel| matches!(channel.reception, Reception::Events));
            let data = frame.clone().into_data();
            let records = data.get(ENVELOPE_LENGTH..).unwrap_or_default();
            if events || enveloped && begins_message(records) {
                return true;
            }
        }
        self.small_frames
            .admit(announced, !kind.is_first(), kind.is_last())
    }

    pub(super) fn begin_request(
        &mut self,
        frame: Frame,
        announced: usize,
        now: Instant,
    ) -> Result<(), Violation> {
        let (kind, id) = (frame.kind(), frame.channel());
        let last = kind.is_last();
        let raw_path = frame.path();
        let bytes = HEADER + raw_path.len() + announced;
        let (found, enveloped, needs_path) = match self.last_typed.find(raw_path) {
            Some(route) => (Some(route), true, false),
            None => {
                let bare_text = without_query(raw_path);
                if bare_text.starts_with("/sys/") && self.handle_system(&frame, bare_text, now)? {
                    self.output.tally.receive(NO_ROUTE, id, bytes, last);
                    return Ok(());
                }
                // A registered path is canonical, so a path without query that is found needs no validation.
                let found = self.routes.find(bare_text);
                let typed = found.is_some_and(|route| route.format == Format::Enveloped);
                let enveloped = typed && self.profile == Profile::Native;
                let needs_path = !enveloped || bare_text.len() != raw_path.len();
                if let (Some(route), false) = (found, needs_path) {
                    self.last_typed.keep(raw_path, route);
                }
                (found, enveloped, needs_path)
            }
        };
        let counted = found.map_or(NO_ROUTE, |route| route.index as u32);
        self.output.tally.receive(counted, id, bytes, last);
        let path = if needs_path {
            Path::from_wire(frame.path_bytes()).ok()
        } else {
            None
        };
        let refused_path = needs_path && path.is_none();
        let mut data = frame.into_data();
        let Some(route) = found.filter(|_| !refused_path) else {
            let answer = ErrorReply::no_handler();
            return self.refuse_request(id, last, counted, path, &answer, now);
        };
        let over_budget = self.held + announced > self.limits.receive_budget;
        let own = route.max_message;
        if announced > self.receive_limit(enveloped, own) || data.is_empty() && !over_budget {
            let answer = self.too_large(own);
            return self.refuse_request(id, last, counted, path, &answer, now);
        }
        if over_budget {
            let answer = self.over_budget();
            return self.refuse_request(id, last, counted, path, &answer, now);
        }
        let envelope = if enveloped {
            match control::read_envelope(&data) {
                Some((0, seq)) => {
                    data.advance(ENVELOPE_LENGTH);
                    Some(seq)
                }
                Some(_) => return Err(Violation::WrongEnvelope(id)),
                None => {
                    let answer = ErrorReply::new(
                        -1,
                        "this path is a typed method: its data must be in the envelope",
                    );
                    return self.refuse_request(id, last, counted, None, &answer, now);
                }
            }
        } else {
            None
        };
        let path = if enveloped { None } else { path };
        let RouteInfo {
            index, delivery, ..
        } = route;
        let request = Queued {
            route: index,
            max_message: own,
            path,
            data,
            envelope,
            arrived: now,
        };
        if matches!(self.drain, Drain::Done) {
            let answer = ErrorReply::new(ErrorReply::DRAINING, "the server is stopping");
            return self.refuse_request(id, last, counted, request.path, &answer, now);
        }
        if self.output.waiting() > self.limits.receive_budget {
            let text = "too many replies wait for this connection's client (receive_budget)";
            let answer = ErrorReply::new(ErrorReply::OVERLOADED, text);
            return self.refuse_request(id, last, counted, request.path, &answer, now);
        }
        let window = self.limits.window_bytes();
        if last {
            // A message of one frame that the window covers needs no books.
            if enveloped
                && request.data.len() + MESSAGE_COST > window as usize
                && cost(&[], &request.data) > window as usize
            {
                return Err(Violation::Overrun(id));
            }
            self.enqueue(id, Pending::Request(request), true);
            return Ok(());
        }
        let mut flow = enveloped.then(|| Box::new(Inflow::new(u64::from(window))));
        if let Some(flow) = &mut flow {
            match flow.receive(&request.data, self.message_limit(own) as u64) {
                Ok(()) => {}
                Err(Excess::Message) => {
                    let answer = self.too_large(own);
                    return self.refuse_request(id, last, counted, None, &answer, now);
                }
                Err(Excess::Credit) => return Err(Violation::Overrun(id)),
            }
        }
        let channel = self.channels.entry(id);
        let idle = channel.active.is_none() && channel.queue.is_empty();
        if delivery == Delivery::Frames && idle {
            channel.reception = Reception::Stream { envelope };
            self.enqueue(id, Pending::Request(request), false);
            let channel = self.channels.entry(id);
            if let (Some(mut flow), Some(active)) = (flow, &mut channel.active) {
                self.unconsumed += flow.unconsumed();
                flow.note_arrival(now);
                let expires = flow.expires(
                    self.limits.assembly_timeout,
                    self.limits.assembly_stall,
                    now,
                );
                active.flow = Some(flow);
                self.arm(expires);
                self.grant_credit(id, now);
            }
            return Ok(());
        }
        let refused = if self.incomplete >= self.limits.max_incomplete {
            Some("too many unfinished messages on this connection (max_incomplete)")
        } else if self.pressed {
            Some("the server holds too many bytes of unfinished messages (receive_budget)")
        } else {
            None
        };
        if let Some(text) = refused {
            let answer = ErrorReply::new(ErrorReply::OVERLOADED, text);
            return self.refuse_request(id, last, counted, request.path, &answer, now);
        }
        let mut assembly = Assembly::new(self.receive_limit(enveloped, own), enveloped, now);
        assembly.add(&request.data, request.data.len(), now);
        let expires = assembly.expires(self.limits.assembly_timeout, self.limits.assembly_stall);
        self.incomplete += 1;
        self.held += assembly.held();
        let request = Queued {
            data: Bytes::new(),
            ..request
        };
        let assembling = Box::new(Assembling {
            assembly,
            request,
            flow,
        });
        self.channels.entry(id).reception = Reception::Assembly(assembling);
        self.grant_credit(id, now);
        self.arm(Some(expires));
        Ok(())
    }

    pub(super) fn continue_request(
        &mut self,
        id: ChannelId,
        kind: FrameKind,
        mut data: Bytes,
        announced: usize,
        now: Instant,
    ) -> Result<(), Violation> {
        let last = kind.is_last();
        let most = self.message_limit(None);
        let over_budget = self.held + announced > self.limits.receive_budget;
        let channel = self.channels.entry(id);
        match &mut channel.reception {
            Reception::Nowhere => return Err(Violation::UnexpectedKind { kind, channel: id }),
            Reception::Events => return self.handle_event_frame(id, last, &data, now),
            Reception::Discard(assembly) => {
                let added = assembly.add(&[], announced, now);
                if last {
                    channel.reception = Reception::Nowhere;
                    let envelope = control::read_envelope(&data);
                    let records = data.get(ENVELOPE_LENGTH..).unwrap_or_default();
                    if let Some((0, seq)) = envelope
                        && cancels(records)
                    {
                        self.output.cut(id, seq);
                    }
                } else if added == Added::Endless {
                    return Err(Violation::Endless(id));
                }
            }
            Reception::Stream { envelope } => {
                strip_envelope(&mut data, *envelope).ok_or(Violation::WrongEnvelope(id))?;
                let cancelled = last && envelope.is_some() && cancels(&data);
                if last {
                    channel.reception = Reception::Nowhere;
                }
                let Some(active) = &mut channel.active else {
                    return Ok(());
                };
                let call = CallId {
                    channel: id,
                    generation: active.generation,
                };
                if cancelled {
                    let route = active.route;
                    self.pending_events
                        .push_back(ServerEvent::Cancelled { call, route });
                    return Ok(());
                }
                let (mut grants, mut expires) = (false, None);
                if let Some(flow) = &mut active.flow {
                    let before = flow.unconsumed();
                    // A message that is too large gets no further credit, and its reader fails the call.
                    let largest = active.max_message.map_or(most, |own| own.min(most));
                    grants = match flow.receive(&data, largest as u64) {
                        Ok(()) => !last,
                        Err(Excess::Message) => false,
                        Err(Excess::Credit) => return Err(Violation::Overrun(id)),
                    };
                    if flow.is_chaff() {
                        return Err(Violation::Flood(CHAFF));
                    }
                    self.unconsumed += flow.unconsumed() - before;
                    flow.note_arrival(now);
                    if !last {
                        let limits = &self.limits;
                        let (total, stall) = (limits.assembly_timeout, limits.assembly_stall);
                        expires = flow.expires(total, stall, now);
                    }
                }
                self.arm(expires);
                self.pending_events
                    .push_back(ServerEvent::Data { call, data, last });
                self.grant_arrived(id, grants, now);
            }
            Reception::Assembly(assembling) => {
                if !data.is_empty() {
                    strip_envelope(&mut data, assembling.request.envelope)
                        .ok_or(Violation::WrongEnvelope(id))?;
                }
                let own = assembling.request.max_message;
                let largest = own.map_or(most, |own| own.min(most));
                let mut counted = Ok(());
                if let (Some(flow), false) = (&mut assembling.flow, data.is_empty()) {
                    counted = flow.receive(&data, largest as u64);
                }
                let too_large_message = match counted {
                    Ok(()) => false,
                    Err(Excess::Message) => true,
                    Err(Excess::Credit) => return Err(Violation::Overrun(id)),
                };
                if last && assembling.request.envelope.is_some() && cancels(&data) {
                    let Reception::Assembly(assembling) = std::mem::take(&mut channel.reception)
                    else {
                        return Ok(());
                    };
                    let request = self.end_assembling(id, *assembling).1;
                    self.enqueue(id, Pending::Cancelled(request), true);
                    return Ok(());
                }
                let held = assembling.assembly.held();
                if over_budget || too_large_message {
                    assembling.assembly.refuse();
                }
                let added = assembling.assembly.add(&data, announced, now);
                let too_large = added == Added::TooLarge || too_large_message;
                if too_large || over_budget {
                    self.held -= held;
                    self.incomplete -= 1;
                    let path = assembling.request.path.take();
                    let route = assembling.request.route as u32;
                    let flow = assembling.flow.take();
                    channel.reception = Reception::Nowhere;
                    if let Some(flow) = flow {
                        self.end_flow(id, *flow);
                    }
                    let answer = match too_large {
                        true => self.too_large(own),
                        false => self.over_budget(),
                    };
                    return self.refuse_request(id, last, route, path, &answer, now);
                }
                self.held = self.held + assembling.assembly.held() - held;
                if last {
                    let Reception::Assembly(assembling) = std::mem::take(&mut channel.reception)
                    else {
                        return Ok(());
                    };
                    let (assembly, request) = self.end_assembling(id, *assembling);
                    let request = Queued {
                        data: assembly.finish(),
                        ..request
                    };
                    self.enqueue(id, Pending::Request(request), true);
                } else {
                    self.grant_arrived(id, true, now);
                }
            }
        }
        Ok(())
    }

    /// The largest message of a request whose route has a limit of its `own`.
    pub(super) fn message_limit(&self, own: Option<usize>) -> usize {
        let limit = match self.profile {
            Profile::Native => self.limits.max_message,
            Profile::Plain => self.limits.max_plain_message,
        };
        own.map_or(limit, |own| own.min(limit))
    }

    /// Most data of one request.
    fn receive_limit(&self, enveloped: bool, own: Option<usize>) -> usize {
        let limit = self.message_limit(own);
        match self.profile {
            Profile::Native => most_data(limit, enveloped),
            // A plain client needs as much to say that a message is empty.
            Profile::Plain => limit.max(EMPTY_MESSAGE),
        }
    }

    fn too_large(&self, own: Option<usize>) -> ErrorReply {
        let limit = self.message_limit(own);
        let text = if own == Some(limit) {
            format!("the request is larger than its method accepts, {limit} bytes (max_request)")
        } else {
            format!("the request is larger than the server's limit of {limit} bytes (max_message)")
        };
        ErrorReply::new(ErrorReply::TOO_LARGE, text)
    }

    fn over_budget(&self) -> ErrorReply {
        ErrorReply::new(
            ErrorReply::TOO_LARGE,
            format!(
                "with this request more than {} bytes would be held for its connection (receive_budget)",
                self.limits.receive_budget
            ),
        )
    }

    /// Answers a request that no handler will see, in its turn, and reads past the rest of it.
    pub(super) fn refuse_request(
        &mut self,
        id: ChannelId,
        last: bool,
        route: u32,
        path: Option<Path>,
        answer: &ErrorReply,
        now: Instant,
    ) -> Result<(), Violation> {
        if !last {
            let discard = Assembly::refused(self.message_limit(None), now);
            self.channels.entry(id).reception = Reception::Discard(Box::new(discard));
        }
        let path = path.map_or(Path::ROOT, |path| path.without_query());
        let data = Bytes::from(answer.to_json());
        self.enqueue(id, Pending::Answer { path, data, route }, true);
        Ok(())
    }
}

/// What selects the handler; nothing if it is not text, which no route has.
fn without_query(path: &[u8]) -> &str {
    let bare = path.split(|&byte| byte == b'?').next().unwrap_or(path);
    std::str::from_utf8(bare).unwrap_or("")
}

/// Takes the envelope off a following frame's data; `None` if it is not the call's.
fn strip_envelope(data: &mut Bytes, envelope: Option<u16>) -> Option<()> {
    if let Some(seq) = envelope {
        if control::read_envelope(data) != Some((0, seq)) {
            return None;
        }
        data.advance(ENVELOPE_LENGTH);
    }
    Some(())
}
