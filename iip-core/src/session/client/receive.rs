use std::time::Instant;

use bytes::{Buf, Bytes};

use super::lease::Stage;
use super::state::{ClientSession, System};
use crate::session::assembly::{Added, Assembly, SmallFrames};
use crate::session::channel::{CallId, Delivery, Profile};
use crate::session::control::{
    self, ConnectionEvent, ENVELOPE_LENGTH, ENVELOPE_RESPONSE, ErrorReply, HelloReply,
};
use crate::session::cost::{MESSAGE_COST, begins_message};
use crate::session::credit::MIN_WINDOW;
use crate::session::error::Violation;
use crate::session::event::ClientEvent;
use crate::session::limits::most_data;
use crate::wire::{ChannelId, Frame, FrameKind, Header, MAX_DATA};

impl ClientSession {
    /// Whether the data of a frame that is arriving should be skipped.
    pub(super) fn look_ahead(&self, header: &Header) -> Result<bool, Violation> {
        self.check_frame(header.kind, header.channel)?;
        let length = header.length as usize;
        if header.channel == ChannelId::ZERO {
            return if length > control::MAX_CONTROL {
                Err(Violation::BadControl)
            } else {
                Ok(false)
            };
        }
        let over_budget = self.held + length > self.config.limits.receive_budget;
        Ok(self.channels.get(header.channel).is_some_and(|channel| {
            let held = channel
                .assembly
                .as_ref()
                .map_or(0, |assembly| assembly.held());
            // What is handed over frame by frame is not held here.
            let limited = channel.delivery == Delivery::Whole
                && (over_budget || held + length > self.receive_limit(channel.envelope.is_some()));
            channel.stage == Stage::Abandoned || limited
        }))
    }

    fn check_frame(&self, kind: FrameKind, id: ChannelId) -> Result<(), Violation> {
        if !kind.is_response() {
            return Err(Violation::UnexpectedKind { kind, channel: id });
        }
        if id == ChannelId::ZERO {
            return if self.system.is_empty() {
                Err(Violation::ResponseWithoutRequest(id))
            } else {
                Ok(())
            };
        }
        let channel = self.channels.get(id).ok_or(Violation::UnknownChannel(id))?;
        let unsent = channel.first_end == u64::MAX && channel.stage != Stage::Events;
        if channel.stage == Stage::Free || channel.response_complete || unsent {
            return Err(Violation::ResponseWithoutRequest(id));
        }
        if channel.response.after(kind).is_none() {
            return Err(Violation::UnexpectedKind { kind, channel: id });
        }
        Ok(())
    }

    pub(super) fn handle_frame(
        &mut self,
        frame: Frame,
        announced: usize,
        now: Instant,
    ) -> Result<(), Violation> {
        let (kind, id) = (frame.kind(), frame.channel());
        self.check_frame(kind, id)?;
        if !self.admit(&frame, announced) {
            return Err(Violation::Flood("frames that carry next to nothing"));
        }
        if id == ChannelId::ZERO {
            return self.handle_system(kind, frame.into_data());
        }
        let channel = self.channels.entry(id);
        if let Some(next) = channel.response.after(kind) {
            channel.response = next;
        }
        if kind.is_first()
            && channel
                .path
                .as_ref()
                .is_some_and(|path| path.path().as_bytes() != frame.path())
        {
            return Err(Violation::WrongPath(id));
        }
        let last = kind.is_last();
        let stage = channel.stage;
        let envelope = channel.envelope;
        let call = CallId {
            channel: id,
            generation: channel.generation,
        };
        let mut data = frame.into_data();
        let skipped = data.is_empty();
        let mut refusal = None;
        if let (Some(seq), false) = (envelope, skipped) {
            match control::read_envelope(&data) {
                Some((ENVELOPE_RESPONSE, received)) if received == seq => {
                    data.advance(ENVELOPE_LENGTH);
                }
                None if kind == FrameKind::ResponseWhole && data.first() == Some(&b'{') => {
                    let unreadable = || {
                        ErrorReply::new(ErrorReply::UNKNOWN, "the server's refusal cannot be read")
                    };
                    refusal = Some(ErrorReply::parse(&data).unwrap_or_else(unreadable));
                }
                _ => return Err(Violation::WrongEnvelope(id)),
            }
        }
        channel.response_complete = last;
        if stage == Stage::Events {
            return if skipped {
                Err(Violation::BadEvent)
            } else {
                self.handle_event_frame(&data, last, now)
            };
        }
        let early = last && channel.sent_end == u64::MAX;
        if early {
            // The server has answered and reads past the rest of the request.
            self.end_request(call);
        }
        if stage == Stage::Abandoned {
            self.settle(id);
            return Ok(());
        }
        if let Some(reply) = refusal {
            self.pending_events
                .push_back(ClientEvent::Refused { call, reply });
            return Ok(());
        }
        self.deliver(call, kind, data, announced, now)
    }

    /// Counts a frame; false if there were too many that carry next to nothing. Messages, however small, are
    /// something, and credit bounds them.
    fn admit(&mut self, frame: &Frame, announced: usize) -> bool {
        let kind = frame.kind();
        let small = !kind.is_first() && !kind.is_last() && announced < SmallFrames::SIZE;
        if small && let Some(channel) = self.channels.get(frame.channel()) {
            let data = frame.clone().into_data();
            let records = data.get(ENVELOPE_LENGTH..).unwrap_or_default();
            if channel.stage == Stage::Events
                || channel.envelope.is_some() && begins_message(records)
            {
                return true;
            }
        }
        self.small_frames
            .admit(announced, !kind.is_first(), kind.is_last())
    }

    fn deliver(
        &mut self,
        call: CallId,
        kind: FrameKind,
        data: Bytes,
        announced: usize,
        now: Instant,
    ) -> Result<(), Violation> {
        let last = kind.is_last();
        let over_budget = self.held + announced > self.config.limits.receive_budget;
        let enveloped = self.channels.entry(call.channel).envelope.is_some();
        let window = self.config.limits.window_bytes() as usize;
        // A message of one frame that the window covers needs no books.
        let counted =
            enveloped && (kind != FrameKind::ResponseWhole || data.len() + MESSAGE_COST > window);
        let fits = !counted || self.receive_records(call.channel, &data, last, now)?;
        let (message_limit, limit) = (self.message_limit(), self.receive_limit(enveloped));
        let channel = self.channels.entry(call.channel);
        if channel.delivery == Delivery::Frames {
            self.pending_events.push_back(if fits {
                ClientEvent::Response { call, data, last }
            } else {
                ClientEvent::TooLarge {
                    call,
                    limit: message_limit,
                    budget: false,
                }
            });
            return Ok(());
        }
        if kind == FrameKind::ResponseWhole && announced <= limit && !over_budget {
            self.pending_events
                .push_back(ClientEvent::Response { call, data, last });
            return Ok(());
        }
        if kind.is_first() {
            self.incomplete += 1;
            channel.assembly = Some(Box::new(Assembly::new(limit, enveloped, now)));
        }
        let Some(assembly) = &mut channel.assembly else {
            return Ok(());
        };
        let held = assembly.held();
        let was_refused = assembly.is_refused();
        if over_budget || !fits {
            assembly.refuse();
        }
        let added = assembly.add(&data, announced, now);
        // For the rest of a message that does not fit no credit comes: it would never be seen to exceed the limit.
        let too_large = !fits || added == Added::TooLarge;
        let refused = assembly.is_refused();
        self.held = self.held + assembly.held() - held;
        if added == Added::Endless {
            return Err(Violation::Endless(call.channel));
        }
        if refused && !was_refused {
            self.pending_events.push_back(ClientEvent::TooLarge {
                call,
                limit: if too_large {
                    message_limit
                } else {
                    self.config.limits.receive_budget
                },
                budget: !too_large,
            });
        }
        if last {
            let assembly = channel.assembly.take();
            self.incomplete -= 1;
            if let Some(assembly) = assembly.filter(|_| !refused) {
                self.held -= assembly.held();
                let data = assembly.finish();
                self.pending_events
                    .push_back(ClientEvent::Response { call, data, last });
            }
        }
        Ok(())
    }

    fn message_limit(&self) -> usize {
        match self.profile {
            Some(Profile::Native) => self.config.limits.max_message,
            _ => self.config.limits.max_plain_message,
        }
    }

    fn receive_limit(&self, enveloped: bool) -> usize {
        most_data(self.message_limit(), enveloped)
    }

    /// An answer on channel 0.
    fn handle_system(&mut self, kind: FrameKind, data: Bytes) -> Result<(), Violation> {
        let text = self.system_data.get_or_insert_default();
        if kind.is_first() != text.is_empty() {
            return Err(Violation::UnexpectedKind {
                kind,
                channel: ChannelId::ZERO,
            });
        }
        text.extend_from_slice(&data);
        if text.len() > control::MAX_CONTROL {
            return Err(Violation::BadControl);
        }
        if !kind.is_last() {
            return Ok(());
        }
        let text = self.system_data.take().unwrap_or_default();
        match self.system.pop_front() {
            Some(System::Hello) => self.handle_hello(&text),
            Some(System::NewChannel) => self.handle_grant(&text),
            Some(System::Ping) => Ok(()),
            None => Err(Violation::ResponseWithoutRequest(ChannelId::ZERO)),
        }
    }

    fn handle_hello(&mut self, text: &[u8]) -> Result<(), Violation> {
        match HelloReply::parse(text) {
            Some(reply) if reply.window < MIN_WINDOW => return Err(Violation::SmallWindow),
            Some(reply) if reply.version == control::VERSION => {
                self.output.set_window(reply.window);
                self.profile = Some(Profile::Native);
                self.server_timeout = reply.timeout;
                self.server_max_message = reply.max_message;
                self.server_encodings = reply.encodings;
                self.leases
                    .grant_range(reply.channels.min(self.channel_limit()));
                self.open_events();
                self.ready();
            }
            Some(reply) => self.end(crate::session::error::Ended::Version {
                ours: control::VERSION,
                theirs: reply.version,
            }),
            None => self.profile = Some(Profile::Plain),
        }
        Ok(())
    }

    fn handle_grant(&mut self, text: &[u8]) -> Result<(), Violation> {
        self.leases.requested = self.leases.requested.saturating_sub(1);
        let was_ready = self.leases.total > 0;
        if was_ready && self.leases.total >= self.channel_limit() {
            // The request that went out with the hello, whose answer has granted enough.
            if self.leases.available() == 0 {
                self.note_exhaustion();
            }
            return Ok(());
        }
        match control::parse_grant(text) {
            Ok(id) if id <= MAX_DATA => {
                let none_before = self.leases.available() == 0;
                if !self.leases.grant_one(ChannelId(id)) {
                    return Err(Violation::BadControl);
                }
                if self.profile == Some(Profile::Plain) && !was_ready {
                    self.ready();
                } else if none_before {
                    self.pending_events.push_back(ClientEvent::Capacity);
                }
            }
            Ok(_) => return Err(Violation::BadControl),
            Err(_) if !was_ready && self.profile == Some(Profile::Plain) => {
                return Err(Violation::BadControl);
            }
            Err(_) => {
                self.leases.exhausted = true;
                self.note_exhaustion();
            }
        }
        Ok(())
    }

    /// No channel request is under way any more: whoever waits for a channel has to look elsewhere.
    fn note_exhaustion(&mut self) {
        if self.leases.requested == 0 {
            self.pending_events.push_back(ClientEvent::Capacity);
        }
    }

    fn handle_event_frame(
        &mut self,
        records: &[u8],
        last: bool,
        now: Instant,
    ) -> Result<(), Violation> {
        for event in ConnectionEvent::parse(records).ok_or(Violation::BadEvent)? {
            match event {
                ConnectionEvent::Ping(token) => {
                    if !self.control.take(now) {
                        return Err(Violation::Flood("pings (control_rate)"));
                    }
                    self.push_urgent(&ConnectionEvent::Pong(token), 0);
                }
                ConnectionEvent::GoAway { code: 0, .. } => {
                    if !self.draining {
                        self.draining = true;
                        self.owes_ack = true;
                        self.acknowledge();
                        self.pending_events.push_back(ClientEvent::Draining);
                    }
                }
                ConnectionEvent::GoAway { code, text } => {
                    self.end(crate::session::error::Ended::GoAway { code, text });
                }
                ConnectionEvent::Window {
                    channel,
                    seq,
                    bytes,
                } => self.handle_window(channel, seq, bytes)?,
                ConnectionEvent::Pong(_)
                | ConnectionEvent::Ack
                | ConnectionEvent::Cancel { .. }
                | ConnectionEvent::Ignored => {}
            }
        }
        if last {
            self.events_channel = None;
            if !self.draining {
                self.draining = true;
                self.pending_events.push_back(ClientEvent::Draining);
            }
        }
        Ok(())
    }
}
