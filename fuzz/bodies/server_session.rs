//! A server's session against any client, any clock and any handlers: it never panics, sends only whole frames in a legal
//! order and never a response without a request, and never asks to be woken for what it has just dealt with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::script::{Observer, Script, put_frame};
use bytes::{Bytes, BytesMut};
use iip_core::session::{
    CallId, Chunk, Delivery, ErrorReply, Format, Limits, Lookup, Payload, RouteInfo, ServerEvent,
    ServerSession,
};

struct Routes;

impl Lookup for Routes {
    fn find(&self, path: &str) -> Option<RouteInfo> {
        let (index, format, delivery) = match path {
            "/raw" => (0, Format::Raw, Delivery::Whole),
            "/frames" => (1, Format::Raw, Delivery::Frames),
            "/t.S/Whole" => (2, Format::Enveloped, Delivery::Whole),
            "/t.S/Frames" => (3, Format::Enveloped, Delivery::Frames),
            _ => return None,
        };
        Some(RouteInfo {
            index,
            format,
            delivery,
            max_message: None,
        })
    }
}

const PATHS: [&str; 16] = [
    "/raw",
    "/frames",
    "/t.S/Whole",
    "/t.S/Frames",
    "/",
    "/raw?a=1&b=%20",
    "/t.S/Whole?x",
    "/none",
    "/raw/",
    "//raw",
    "/%72aw",
    "/sys/new_channel",
    "/sys/delete_channel",
    "/sys/hello",
    "/sys/events",
    "/sys/statis",
];

const HELLO: &[u8] = br#"{"v":1,"min":1,"window":32768,"max_message":4194304,"channels":4}"#;

struct World {
    session: ServerSession<Routes>,
    input: BytesMut,
    now: Instant,
    /// What the client sent.
    requests: Observer,
    /// What the server sent.
    responses: Observer,
    owed: Vec<(CallId, bool)>,
}

/// One run.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let now = Instant::now();
    let limits = if script.byte() & 1 == 0 {
        Limits::default()
    } else {
        tight_limits()
    };
    let timeout = Some(Duration::from_secs(10));
    let mut world = World {
        session: ServerSession::new(Arc::new(limits), Routes, timeout, now),
        input: BytesMut::new(),
        now,
        requests: Observer::new(),
        responses: Observer::new(),
        owed: Vec::new(),
    };
    while let Some(step) = script.step() {
        world.act(step, &mut script);
        world.look();
        if world.session.ended().is_some() {
            break;
        }
    }
    world.transmit_all();
}

fn tight_limits() -> Limits {
    Limits::default()
        .max_frame(40_000)
        .max_message(2_000)
        .max_plain_message(3_000)
        .max_channels(6)
        .max_plain_channels(3)
        .max_queued_per_channel(2)
        .max_plain_in_flight(4)
        .max_incomplete(2)
        .receive_budget(6_000)
        .write_soft_limit(1_000)
        .write_hard_limit(4_000)
        .control_rate(5)
        .control_burst(20)
}

impl World {
    fn act(&mut self, step: u8, script: &mut Script<'_>) {
        match step {
            0..=0x7f => {
                let bytes = script.take(usize::from(step) + 1);
                self.receive_bytes(bytes);
            }
            0x80..=0x9f => {
                let mut frame = BytesMut::new();
                frame_of_script(step, script, &mut frame);
                self.receive_bytes(&frame);
            }
            0xa0..=0xa7 => self.answer(step & 7, script),
            0xa8 => {
                self.now += script.pause();
                self.wake();
            }
            0xa9 => self.session.drain(),
            0xaa => self.session.finish(),
            0xab => self.session.handle_eof(),
            0xac => self.session.shrink(),
            0xad..=0xaf => self.transmit_all(),
            0xf0..=0xf7 => self.stream(step & 7, script),
            _ => self.transmit_some(),
        }
        // What was left unread, because too much waited, may be read now.
        self.receive_bytes(&[]);
    }

    fn receive_bytes(&mut self, bytes: &[u8]) {
        self.requests.see(bytes);
        self.input.extend_from_slice(bytes);
        self.session.handle(&mut self.input, bytes.len(), self.now);
        self.look();
    }

    fn answer(&mut self, how: u8, script: &mut Script<'_>) {
        if self.owed.is_empty() {
            return;
        }
        let index = usize::from(script.byte()) % self.owed.len();
        let (call, enveloped) = self.owed[index];
        match how {
            0..=2 => {
                let payload = payload(script.size(), how == 2 || enveloped);
                assert!(
                    self.session.send(call, payload, true),
                    "the call was owed a response"
                );
                self.forget(index);
            }
            3 => {
                self.session.send(call, payload(script.size(), true), false);
            }
            4 => {
                if self.session.refuse(call, &ErrorReply::new(109, "busy")) {
                    self.forget(index);
                }
            }
            5 => self.session.set_deadline(call, self.now + script.pause()),
            6 => assert!(self.session.is_owed(call)),
            _ => {
                let _ = self.session.has_room(call);
            }
        }
    }

    /// Messages one by one.
    fn stream(&mut self, how: u8, script: &mut Script<'_>) {
        if self.owed.is_empty() {
            return;
        }
        let index = usize::from(script.byte()) % self.owed.len();
        let (call, enveloped) = self.owed[index];
        match how {
            0..=3 => {
                let pushed = self.session.push(call, message(script.size()), false);
                assert_eq!(pushed, enveloped);
            }
            4 => {
                if self.session.push(call, message(script.size()), true) {
                    self.forget(index);
                }
            }
            5 => {
                if self
                    .session
                    .abort(call, Payload::from(Bytes::from_static(&[5, 0])))
                {
                    self.forget(index);
                }
            }
            _ => self.session.consumed(call, script.size()),
        }
    }

    fn forget(&mut self, index: usize) {
        let (call, _) = self.owed.swap_remove(index);
        assert!(!self.session.is_owed(call));
        let again = Payload::from(Bytes::from_static(b"again"));
        assert!(
            !self.session.respond(call, again),
            "a call was answered twice"
        );
    }

    fn wake(&mut self) {
        if self.session.poll_timeout().is_some_and(|at| at <= self.now) {
            self.session.handle_timeout(self.now);
            let next = self.session.poll_timeout();
            assert!(
                self.session.ended().is_some() || next.is_none_or(|at| at > self.now),
                "a timer that has just been dealt with is due again"
            );
        }
    }

    fn look(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ServerEvent::Request {
                    call, enveloped, ..
                } => {
                    assert!(self.session.is_owed(call));
                    self.owed.push((call, enveloped));
                }
                ServerEvent::Cancelled { call, .. } => {
                    assert!(self.session.is_owed(call));
                    if self.owed.iter().all(|(owed, _)| *owed != call) {
                        self.owed.push((call, true));
                    }
                }
                ServerEvent::Data { .. }
                | ServerEvent::Expired { .. }
                | ServerEvent::Stalled { .. }
                | ServerEvent::Writable { .. } => {}
            }
        }
        assert_eq!(self.session.in_flight(), self.owed.len());
    }

    fn transmit_all(&mut self) {
        while self.session.has_output() {
            self.transmit_some();
        }
    }

    fn transmit_some(&mut self) {
        let mut out = Vec::new();
        self.session.poll_transmit(&mut out);
        assert!(
            !out.is_empty() || !self.session.has_output(),
            "there is output, but none came out"
        );
        self.responses.see_own(&out);
        for (&channel, &begun) in &self.responses.begun {
            let (asked, _) = self.requests.messages(channel);
            assert!(
                begun <= asked,
                "more responses than requests on channel {channel}"
            );
        }
    }
}

fn frame_of_script(step: u8, script: &mut Script<'_>, out: &mut BytesMut) {
    let channel = u32::from(script.byte() & 7);
    match step {
        0x80..=0x8f => {
            let path = PATHS[usize::from(script.byte() & 15)];
            let size = script.size();
            put_frame(out, step & 3, path, channel, &vec![b'x'; size]);
        }
        0x90..=0x97 => {
            let path = PATHS[usize::from(script.byte() & 3)];
            let mut data = vec![0x0f, 0, 0, script.byte() & 3];
            let size = script.size();
            if step & 4 == 0 {
                data.extend(std::iter::repeat_n(2, size));
            } else {
                // A message of 100,000 bytes begins.
                let length = size.min(16_000) as u64 + 3;
                let header = iip_core::wire::record::encode_header(
                    iip_core::wire::record::RecordKind::MESSAGE_START,
                    length,
                );
                data.extend_from_slice(&header);
                data.extend_from_slice(&[0xa0, 0x8d, 0x06]);
                data.extend(std::iter::repeat_n(2, size.min(16_000)));
            }
            put_frame(out, step & 3, path, channel, &data);
        }
        0x98 | 0x99 => put_frame(out, 1, "/sys/hello", 0, HELLO),
        0x9a | 0x9b => put_frame(out, 1, "/sys/new_channel", 0, b"{}"),
        0x9c => put_frame(out, 0, "/sys/events", channel, &[0x0f, 0, 0, 0]),
        _ => {
            let mut data = vec![0x0f, 0, 0, 0];
            data.extend_from_slice(match script.byte() & 3 {
                0 => &[18, 8, 1, 2, 3, 4, 5, 6, 7, 8],
                1 => &[21, 0],
                2 => &[16, 3, 1, 0, 100, 17, 2, 1, 0],
                _ => &[20, 4, 1, 0, 0, b'x'],
            });
            put_frame(out, if step == 0x9f { 3 } else { 2 }, "/", channel, &data);
        }
    }
}

/// A message within the largest cost of a frame.
fn message(size: usize) -> Chunk {
    let size = size.min(16_000);
    let header = iip_core::wire::record::encode_header(
        iip_core::wire::record::RecordKind::MESSAGE,
        size as u64,
    );
    Chunk::new(&header, vec![b'm'; size].into())
}

/// Enveloped data of more than a chunk has to be cut by its sender.
fn payload(size: usize, cut: bool) -> Payload {
    if !cut {
        return Payload::from(Bytes::from(vec![b'r'; size]));
    }
    let chunks = vec![b'r'; size];
    let chunks = chunks.chunks(10_000);
    Payload::from(
        chunks
            .map(|piece| Chunk::new(b"head", Bytes::copy_from_slice(piece)))
            .collect::<Vec<_>>(),
    )
}
