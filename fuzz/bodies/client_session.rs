//! A client's session against any server, any clock and any callers: it never panics, sends only whole frames in a legal
//! order, never uses a channel again before the response it is owed, and tells every call how it ended at most once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::script::{Observer, Script, put_frame};
use bytes::{Bytes, BytesMut};
use iip_core::session::{
    CallId, Chunk, ClientConfig, ClientEvent, ClientSession, Delivery, Format, Limits, OpenOptions,
    Payload,
};
use iip_core::wire::Path;

const HELLO_REPLY: &[u8] =
    br#"{"code":0,"v":1,"window":32768,"max_message":4194304,"channels":4,"timeout_us":10000000}"#;
const NO_HANDLER: &[u8] = br#"{"code":102,"message":"handle error"}"#;

struct Call {
    id: CallId,
    enveloped: bool,
    complete: bool,
}

struct World {
    session: ClientSession,
    input: BytesMut,
    now: Instant,
    /// What the client sent.
    requests: Observer,
    /// What the server sent.
    responses: Observer,
    calls: Vec<Call>,
    /// Calls that were told how they ended.
    over: HashSet<CallId>,
    unwritten: usize,
}

/// One run.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let now = Instant::now();
    let choice = script.byte();
    let limits = if choice & 1 == 0 {
        Limits::default()
    } else {
        tight_limits()
    };
    let config = ClientConfig {
        limits: Arc::new(limits),
        plain: choice & 2 != 0,
        ..ClientConfig::default()
    };
    let mut world = World {
        session: ClientSession::new(config, now),
        input: BytesMut::new(),
        now,
        requests: Observer::new(),
        responses: Observer::new(),
        calls: Vec::new(),
        over: HashSet::new(),
        unwritten: 0,
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
        .max_incomplete(2)
        .receive_budget(6_000)
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
            0xa0..=0xaf => self.open(step, script),
            0xb0..=0xb3 => self.send_more(step, script),
            0xb4..=0xb7 => self.release(script),
            0xb8 => {
                self.now += script.pause();
                self.wake();
            }
            0xb9 => self.session.close(),
            0xba => self.session.handle_eof(),
            0xbb => self.session.shrink(),
            0xbc => {
                let count = self.unwritten.min(script.size());
                self.unwritten -= count;
                self.session.written(count);
            }
            0xbd..=0xbf => self.transmit_all(),
            0xf0..=0xf7 => self.stream(step & 7, script),
            _ => self.transmit_some(),
        }
    }

    fn receive_bytes(&mut self, bytes: &[u8]) {
        self.responses.see(bytes);
        self.input.extend_from_slice(bytes);
        self.session.handle(&mut self.input, bytes.len(), self.now);
    }

    fn open(&mut self, step: u8, script: &mut Script<'_>) {
        const RAW: Path = Path::from_static("/raw");
        const TYPED: Path = Path::from_static("/t.S/M");
        let native = self.session.profile() == Some(iip_core::session::Profile::Native);
        let typed = step & 1 == 1;
        let options = OpenOptions {
            format: if typed {
                Format::Enveloped
            } else {
                Format::Raw
            },
            delivery: if step & 2 == 0 {
                Delivery::Whole
            } else {
                Delivery::Frames
            },
            deadline: (step & 4 != 0).then(|| self.now + script.pause()),
            more: step & 8 != 0,
        };
        let size = script.size();
        let payload = payload(size, typed && native);
        let path = if typed { TYPED } else { RAW };
        let free = self.session.available();
        if let Ok(id) = self.session.open(&path, options, payload, self.now) {
            assert!(free > 0, "a call began without a free channel");
            assert!(!self.over.contains(&id), "a call has the name of another");
            self.calls.push(Call {
                id,
                enveloped: typed && native,
                complete: !options.more,
            });
        }
    }

    fn send_more(&mut self, step: u8, script: &mut Script<'_>) {
        if self.calls.is_empty() {
            return;
        }
        let index = usize::from(script.byte()) % self.calls.len();
        let call = &mut self.calls[index];
        let last = step & 1 == 1;
        let size = if call.enveloped {
            script.size()
        } else {
            script.size().max(1)
        };
        let sent = self
            .session
            .send(call.id, payload(size, call.enveloped), last);
        assert!(!sent || !call.complete, "a complete request was sent more");
        call.complete |= sent && last;
    }

    /// Messages one by one.
    fn stream(&mut self, how: u8, script: &mut Script<'_>) {
        if self.calls.is_empty() {
            return;
        }
        let index = usize::from(script.byte()) % self.calls.len();
        let call = &mut self.calls[index];
        assert!(self.session.is_current(call.id));
        match how {
            0..=4 => {
                let last = how == 4;
                let sent = self.session.push(call.id, message(script.size()), last);
                assert!(!sent || !call.complete && call.enveloped);
                call.complete |= sent && last;
            }
            5 => {
                let cancelled = self.session.cancel_request(call.id);
                let done = cancelled != iip_core::session::Cancelled::No;
                assert!(!done || !call.complete);
                call.complete |= done;
            }
            _ => self.session.consumed(call.id, script.size(), self.now),
        }
    }

    fn release(&mut self, script: &mut Script<'_>) {
        if self.calls.is_empty() {
            return;
        }
        let index = usize::from(script.byte()) % self.calls.len();
        let call = self.calls.swap_remove(index);
        let _ = self.session.may_have_run(call.id);
        self.session.release(call.id, self.now);
        self.over.insert(call.id);
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
                ClientEvent::Response { call, last, .. } => self.told(call, last),
                ClientEvent::Refused { call, .. } | ClientEvent::TooLarge { call, .. } => {
                    self.told(call, true);
                }
                _ => {}
            }
        }
        assert_eq!(self.session.in_flight(), self.calls.len());
    }

    fn told(&mut self, call: CallId, finally: bool) {
        let known = self.calls.iter().any(|known| known.id == call);
        if known {
            assert!(
                !self.over.contains(&call),
                "a call was told twice how it ended"
            );
            if finally {
                self.over.insert(call);
            }
        }
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
        self.unwritten += out.len();
        self.requests.see_own(&out);
        for (&channel, &begun) in &self.requests.begun {
            let (_, answered) = self.responses.messages(channel);
            assert!(
                channel == 0 || begun <= answered + 1,
                "channel {channel} was used again before its response"
            );
        }
    }
}

fn frame_of_script(step: u8, script: &mut Script<'_>, out: &mut BytesMut) {
    match step {
        0x80..=0x87 => {
            let channel = u32::from(script.byte() & 7);
            let path = ["/raw", "/t.S/M", "/", "/other"][usize::from(script.byte() & 3)];
            let size = script.size();
            put_frame(out, 4 + (step & 3), path, channel, &vec![b'x'; size]);
        }
        0x88..=0x8f => {
            let channel = u32::from(script.byte() & 7);
            let mut data = vec![0x0f, 0x80, 0, script.byte() & 3];
            let size = script.size();
            data.extend(std::iter::repeat_n(2, size));
            put_frame(out, 4 + (step & 3), "/", channel, &data);
        }
        0x90 | 0x91 => put_frame(out, 5, "/sys/hello", 0, HELLO_REPLY),
        0x92 => put_frame(out, 5, "/sys/hello", 0, NO_HANDLER),
        0x93..=0x97 => {
            let number = script.byte() & 15;
            let grant = format!("{{\"code\":0,\"channel_id\":{number}}}");
            put_frame(out, 5, "/sys/new_channel", 0, grant.as_bytes());
        }
        0x98 => {
            let refusal = br#"{"code":106,"message":"channel create limited"}"#;
            put_frame(out, 5, "/sys/new_channel", 0, refusal);
        }
        0x99 => put_frame(out, 4, "/", 1, &[0x0f, 0x80, 0, 0]),
        0x9a..=0x9d => {
            let mut data = vec![0x0f, 0x80, 0, 0];
            data.extend_from_slice(match script.byte() & 3 {
                0 => &[18, 8, 1, 2, 3, 4, 5, 6, 7, 8],
                1 => &[20, 4, 0, 0, 0, b'x'],
                2 => &[20, 4, 1, 0, 0, b'x'],
                _ => &[16, 3, 2, 0, 100, 16, 3, 3, 0, 100],
            });
            put_frame(out, if step == 0x9d { 7 } else { 6 }, "/", 1, &data);
        }
        _ => {
            let channel = u32::from(script.byte() & 7);
            put_frame(
                out,
                5,
                "/",
                channel,
                br#"{"code":109,"message":"overloaded"}"#,
            );
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
    let whole = vec![b'r'; size];
    let chunks = whole
        .chunks(10_000)
        .map(|piece| Chunk::new(b"head", Bytes::copy_from_slice(piece)));
    Payload::from(chunks.collect::<Vec<_>>())
}
