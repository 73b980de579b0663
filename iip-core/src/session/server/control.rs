use super::state::*;
use std::time::Instant;

use crate::session::assembly::Assembly;
use crate::session::channel::Profile;
use crate::session::control::{
    self, ConnectionEvent, ENVELOPE_LENGTH, ENVELOPE_RESPONSE, ErrorReply, Hello, HelloReply,
};
use crate::session::credit::MIN_WINDOW;
use crate::session::error::{Ended, Violation};
use crate::session::event::Lookup;
use crate::session::framing::Framing;
use crate::session::payload::MAX_CHUNK;
use crate::session::tally::NO_ROUTE;
use crate::wire::{ChannelId, Frame, Path};

impl<L: Lookup> ServerSession<L> {
    /// Answers `/sys/…` paths of the protocol itself. False: not one of them.
    pub(super) fn handle_system(
        &mut self,
        frame: &Frame,
        path: &str,
        now: Instant,
    ) -> Result<bool, Violation> {
        let (id, last) = (frame.channel(), frame.kind().is_last());
        let answer = match path {
            control::NEW_CHANNEL => {
                self.take_control(now)?;
                if self.profile == Profile::Plain {
                    self.begin_round_trip(now);
                }
                self.grant()
            }
            control::DELETE_CHANNEL => {
                self.take_control(now)?;
                control::grant_json(0)
            }
            control::HELLO if id == ChannelId::ZERO && self.profile == Profile::Plain && last => {
                self.hello(frame)?
            }
            control::EVENTS
                if self.profile == Profile::Native
                    && self.events_channel.is_none()
                    && !last
                    && self.is_idle(id) =>
            {
                return self.open_events(frame).map(|()| true);
            }
            control::HELLO | control::EVENTS => ErrorReply::no_handler().to_json(),
            _ => return Ok(false),
        };
        if !last {
            let discard = Assembly::refused(control::MAX_CONTROL, now);
            self.channels.entry(id).reception = Reception::Discard(Box::new(discard));
        }
        let path = Path::new(path).unwrap_or(Path::ROOT);
        self.enqueue(
            id,
            Pending::Answer {
                path,
                data: answer.into(),
                route: NO_ROUTE,
            },
            true,
        );
        Ok(true)
    }

    /// Whether no response is owed on a channel, nor still on its way out.
    fn is_idle(&self, id: ChannelId) -> bool {
        let channel = self.channels.get(id);
        let owed =
            channel.is_some_and(|channel| channel.active.is_some() || !channel.queue.is_empty());
        !owed && !self.output.has_queued(id)
    }

    pub(super) fn take_control(&mut self, now: Instant) -> Result<(), Violation> {
        if self.control.take(now) {
            Ok(())
        } else {
            Err(Violation::Flood("control requests (control_rate)"))
        }
    }

    pub(super) fn grant(&mut self) -> String {
        let limit = match self.profile {
            Profile::Native => self.limits.native_channels(),
            Profile::Plain => MAX_GRANTED,
        };
        if self.granted >= limit {
            return ErrorReply::new(ErrorReply::CHANNEL_LIMIT, "channel create limited").to_json();
        }
        self.granted += 1;
        control::grant_json(self.granted)
    }

    pub(super) fn hello(&mut self, frame: &Frame) -> Result<String, Violation> {
        let Some(hello) = Hello::parse(&frame.clone().into_data()).filter(|_| self.granted == 0)
        else {
            return Ok(ErrorReply::no_handler().to_json());
        };
        if hello.window < MIN_WINDOW {
            return Err(Violation::SmallWindow);
        }
        self.output.set_window(hello.window);
        if hello.min > control::VERSION {
            // The answer names the version spoken here.
            self.ended = Some(Ended::Version {
                ours: control::VERSION,
                theirs: hello.min,
            });
        }
        self.profile = Profile::Native;
        self.client_encodings = hello.encodings;
        self.granted = hello.channels.clamp(2, self.limits.native_channels());
        let reply = HelloReply {
            version: control::VERSION,
            window: self.limits.window_bytes(),
            max_message: self.limits.max_message,
            channels: self.granted,
            timeout: self.default_timeout,
            encodings: self.limits.encodings,
        };
        Ok(reply.to_json())
    }

    pub(super) fn open_events(&mut self, frame: &Frame) -> Result<(), Violation> {
        let id = frame.channel();
        let data = frame.clone().into_data();
        let (flags, seq) = control::read_envelope(&data).ok_or(Violation::WrongEnvelope(id))?;
        if flags != 0 {
            return Err(Violation::WrongEnvelope(id));
        }
        self.channels.entry(id).reception = Reception::Events;
        let call = self.next_call(id);
        self.events_channel = Some((call, seq));
        let framing = event_framing(seq);
        self.events_opened = self.output.push_ready(call, &framing, &[], true, false);
        self.arm(Some(self.last_activity + self.limits.idle_timeout));
        match self.drain {
            Drain::No => {}
            Drain::Announced | Drain::Refusing => self.push_drain(),
            Drain::Done => {
                self.output.push_ready(call, &framing, &[], false, true);
            }
        }
        self.handle_events(
            data.get(ENVELOPE_LENGTH..).unwrap_or(&[]),
            self.last_activity,
        )
    }

    pub(super) fn handle_event_frame(
        &mut self,
        id: ChannelId,
        last: bool,
        data: &[u8],
        now: Instant,
    ) -> Result<(), Violation> {
        let (_, seq) = self.events_channel.ok_or(Violation::BadEvent)?;
        if control::read_envelope(data) != Some((0, seq)) {
            return Err(Violation::WrongEnvelope(id));
        }
        self.handle_events(data.get(ENVELOPE_LENGTH..).unwrap_or(&[]), now)?;
        if last {
            // The client will place no further call and wants the connection to end when it is idle.
            self.channels.entry(id).reception = Reception::Nowhere;
            self.acknowledged = true;
            self.finish();
        }
        Ok(())
    }

    pub(super) fn handle_events(&mut self, records: &[u8], now: Instant) -> Result<(), Violation> {
        for event in ConnectionEvent::parse(records).ok_or(Violation::BadEvent)? {
            match event {
                ConnectionEvent::Ping(token) => {
                    self.take_control(self.last_activity)?;
                    self.push_urgent(&ConnectionEvent::Pong(token));
                }
                ConnectionEvent::Ack => self.acknowledged |= self.drain != Drain::No,
                ConnectionEvent::Window {
                    channel,
                    seq,
                    bytes,
                } => self.handle_window(channel, seq, bytes)?,
                ConnectionEvent::Cancel { channel, seq } => {
                    self.handle_cancel(channel, seq, now)?
                }
                ConnectionEvent::Pong(_)
                | ConnectionEvent::Ignored
                | ConnectionEvent::GoAway { .. } => {}
            }
        }
        Ok(())
    }

    pub(super) fn push_event(&mut self, event: &ConnectionEvent) {
        let mut records = Vec::new();
        event.encode(&mut records);
        self.push_event_records(records, false);
    }

    /// Sends records, unless the event stream is complete or was never opened. `last` completes it.
    pub(super) fn push_event_records(&mut self, records: Vec<u8>, last: bool) {
        if let (Some((call, seq)), true) = (self.events_channel, self.drain != Drain::Done) {
            self.output
                .push_ready(call, &event_framing(seq), &records, false, last);
        }
    }

    /// Sends a record ahead of all that waits.
    pub(super) fn push_urgent(&mut self, event: &ConnectionEvent) {
        if let (Some((call, seq)), true) = (self.events_channel, self.drain != Drain::Done) {
            let mut records = Vec::new();
            event.encode(&mut records);
            self.output
                .push_urgent(call, &event_framing(seq), &records, self.events_opened);
        }
    }

    pub(super) fn fail(&mut self, violation: Violation) {
        if self.ended.is_some() {
            return;
        }
        let mut records = Vec::new();
        let channel = violation.channel();
        let seq = self
            .channels
            .get(channel)
            .and_then(ServerChannel::seq)
            .unwrap_or(0);
        control::encode_goaway(
            &mut records,
            violation.code(),
            channel.0,
            seq,
            &violation.to_string(),
        );
        self.push_event_records(records, false);
        self.ended = Some(Ended::Violation(violation));
    }
}

fn event_framing(seq: u16) -> Framing {
    Framing {
        response: true,
        route: NO_ROUTE,
        path: None,
        envelope: Some((ENVELOPE_RESPONSE, seq)),
        max_data: MAX_CHUNK,
    }
}
