//! Replays the conversations recorded between the reference's own client and server (`tests/captures`), with each side in
//! turn taken by a session of this crate.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use iip_core::session::{
    CallId, ClientConfig, ClientEvent, ClientSession, Delivery, ErrorReply, Format, Limits, Lookup,
    OpenOptions, Payload, RouteInfo, ServerEvent, ServerSession,
};
use iip_core::wire::{ChannelId, Decoded, Decoder, Frame, MAX_DATA, Path};

/// A recorded frame.
pub(crate) struct Recorded {
    pub(crate) from_client: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) frame: Frame,
}

impl Recorded {
    fn channel(&self) -> ChannelId {
        self.frame.channel()
    }

    pub(crate) fn path(&self) -> &str {
        std::str::from_utf8(self.frame.path()).expect("text")
    }

    fn data(&self) -> Bytes {
        self.frame.clone().into_data()
    }
}

fn frames_of(bytes: &[u8]) -> Vec<Frame> {
    let mut decoder = Decoder::new(MAX_DATA);
    let mut buf = BytesMut::from(bytes);
    let mut frames = Vec::new();
    while let Decoded::Frame(frame) = decoder.decode(&mut buf).expect("frames") {
        frames.push(frame);
    }
    assert!(buf.is_empty(), "half a frame");
    frames
}

/// The frames of a conversation in their order.
pub(crate) fn conversation(name: &str) -> Vec<Recorded> {
    let file = format!("{}/tests/captures/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut frames = Vec::new();
    while let Some(description) = lines.next() {
        let hex = lines.next().expect("a line of bytes").trim();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        let frame = frames_of(&bytes).pop().expect("a frame");
        let field = |name: &str| {
            let rest = description
                .split(&format!(" {name}="))
                .nth(1)
                .expect("a field");
            rest.split(' ').next().expect("its value").to_owned()
        };
        assert_eq!(field("status"), frame.kind().as_u8().to_string());
        assert_eq!(field("channel"), frame.channel().to_string());
        assert_eq!(field("path").as_bytes(), frame.path());
        assert_eq!(field("len"), frame.header().length.to_string());
        let from_client = description.starts_with("C>S");
        assert!(from_client || description.starts_with("S>C"));
        frames.push(Recorded {
            from_client,
            bytes,
            frame,
        });
    }
    assert!(frames.len() >= 3);
    frames
}

const HANDLERS: [&str; 6] = ["/echo", "/slow", "/empty", "/fail", "/panic", "/query"];

struct Routes;

impl Lookup for Routes {
    fn find(&self, path: &str) -> Option<RouteInfo> {
        let index = HANDLERS.iter().position(|known| *known == path)?;
        Some(RouteInfo {
            index,
            format: Format::Raw,
            delivery: Delivery::Whole,
            max_message: None,
        })
    }
}

/// What the recorded handlers did.
fn handle(path: &Path, data: Bytes) -> Bytes {
    match path.path() {
        "/echo" | "/slow" => data,
        "/query" => {
            let value = |name| path.query_value(name).expect("a parameter").into_owned();
            format!("{}|{}", value("id"), value("name")).into()
        }
        "/fail" => ErrorReply::new(ErrorReply::HANDLER_FAILED, "handler fail:boom")
            .to_json()
            .into(),
        _ => Bytes::new(),
    }
}

/// Our server hears the recorded client, `step` bytes at a time.
fn replay_server(name: &str, step: usize, expected: &[Recorded]) {
    let now = Instant::now();
    let mut session = ServerSession::new(Arc::new(Limits::default()), Routes, None, now);
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    let mut calls: BTreeMap<ChannelId, VecDeque<(CallId, Path, Bytes)>> = BTreeMap::new();
    for recorded in expected {
        if recorded.from_client {
            for piece in recorded.bytes.chunks(step) {
                input.extend_from_slice(piece);
                session.handle(&mut input, piece.len(), now);
            }
        } else {
            session.poll_transmit(&mut output);
            if !output.starts_with(&recorded.bytes) {
                let queue = calls
                    .get_mut(&recorded.channel())
                    .expect("a call on this channel");
                let (call, path, data) = queue.pop_front().expect("a call to answer");
                assert!(session.respond(call, Payload::from(handle(&path, data))));
                session.poll_transmit(&mut output);
            }
            assert!(
                output.starts_with(&recorded.bytes),
                "{name}: {:?}",
                recorded.frame
            );
            output.drain(..recorded.bytes.len());
        }
        while let Some(event) = session.poll_event() {
            let ServerEvent::Request {
                call,
                path,
                data,
                complete,
                ..
            } = event
            else {
                panic!("{name}: {event:?}");
            };
            assert!(complete);
            let queue = calls.entry(call.channel).or_default();
            assert!(queue.is_empty(), "{name}: two calls on a channel at a time");
            queue.push_back((call, path.expect("a raw path"), data));
        }
        assert_eq!(session.ended(), None, "{name}");
    }
    session.poll_transmit(&mut output);
    assert!(output.is_empty(), "{name}: more was sent than recorded");
    assert!(
        calls.values().all(VecDeque::is_empty),
        "{name}: a call was not answered"
    );
}

#[test]
fn our_server_answers_the_recorded_client() {
    for name in [
        "echo",
        "echo_empty",
        "query",
        "fail",
        "panic",
        "nohandler",
        "pipeline",
        "channels",
    ] {
        let expected = conversation(name);
        for step in [1, 7, usize::MAX] {
            replay_server(name, step, &expected);
        }
    }
}

/// The reference does not answer; we do.
#[test]
fn our_server_answers_a_deletion() {
    let mut expected = conversation("delete");
    let last = expected.last().expect("a frame");
    assert_eq!(
        (last.from_client, last.path()),
        (true, "/sys/delete_channel")
    );
    let answer = b"\x05/sys/delete_channel\0\0\0\0\x01\0\0\0\x0a{\"code\":0}".to_vec();
    let frame = frames_of(&answer).remove(0);
    expected.push(Recorded {
        from_client: false,
        bytes: answer,
        frame,
    });
    replay_server("delete", usize::MAX, &expected);
}

/// Frames by channel: across channels, the recorded order is one of several.
fn by_channel(frames: impl IntoIterator<Item = Frame>) -> BTreeMap<u32, Vec<Frame>> {
    let mut channels: BTreeMap<u32, Vec<Frame>> = BTreeMap::new();
    for frame in frames {
        channels.entry(frame.channel().0).or_default().push(frame);
    }
    channels
}

/// Our client says what the recorded one said and hears the recorded server.
fn replay_client(name: &str, step: usize) {
    let now = Instant::now();
    let config = ClientConfig {
        limits: Arc::new(Limits::default().max_channels(4)),
        plain: true,
        ..ClientConfig::default()
    };
    let mut session = ClientSession::new(config, now);
    let mut input = BytesMut::new();
    let mut output = Vec::new();
    let mut calls = BTreeMap::new();
    let mut asked = 0;
    let recorded = conversation(name);
    for frame in &recorded {
        if frame.from_client && frame.channel() == ChannelId::ZERO {
            asked += 1;
            session.poll_transmit(&mut output);
            if by_channel(frames_of(&output)).get(&0).map_or(0, Vec::len) < asked {
                session.want_channels();
            }
        } else if frame.from_client {
            let path = Path::new(frame.path()).expect("a path");
            let call = session
                .open(
                    &path,
                    OpenOptions::default(),
                    Payload::from(frame.data()),
                    now,
                )
                .unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(call.channel, frame.channel(), "{name}");
            calls.insert(call.channel, call);
        } else {
            for piece in frame.bytes.chunks(step) {
                session.poll_transmit(&mut output);
                input.extend_from_slice(piece);
                session.handle(&mut input, piece.len(), now);
            }
            let mut answered = false;
            while let Some(event) = session.poll_event() {
                if let ClientEvent::Response { call, data, last } = event {
                    assert_eq!(calls.remove(&call.channel), Some(call), "{name}");
                    assert!(last);
                    assert_eq!(data, frame.data(), "{name}");
                    session.release(call, now);
                    answered = true;
                }
            }
            assert_eq!(answered, frame.channel() != ChannelId::ZERO, "{name}");
        }
        assert_eq!(session.ended(), None, "{name}");
    }
    session.poll_transmit(&mut output);
    let said = recorded
        .iter()
        .filter(|frame| frame.from_client)
        .map(|frame| frame.frame.clone());
    assert_eq!(by_channel(frames_of(&output)), by_channel(said), "{name}");
    assert!(calls.is_empty());
}

#[test]
fn our_client_is_satisfied_by_the_recorded_server() {
    for name in [
        "echo",
        "echo_empty",
        "query",
        "fail",
        "panic",
        "nohandler",
        "channels",
    ] {
        for step in [1, 7, usize::MAX] {
            replay_client(name, step);
        }
    }
}
