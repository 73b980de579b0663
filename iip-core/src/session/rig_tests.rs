//! What the tests of sessions share: a session whose peer is the test, in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::control::{envelope, read_envelope};
use super::*;
use crate::wire::{ChannelId, Decoded, Decoder, FrameKind, MAX_DATA, Path, encode_frame};

/// The limit of `/small`, `/t.S/Small` and `/t.F/Small`, which are as the other three.
pub(super) const SMALL: usize = 100_000;

pub(super) const RAW: usize = 0;
pub(super) const FRAMES: usize = 1;
pub(super) const TYPED: usize = 2;
pub(super) const TYPED_FRAMES: usize = 3;

/// `/raw`, `/frames`, `/t.S/M` and `/t.S/F`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Routes;

impl Lookup for Routes {
    fn find(&self, path: &str) -> Option<RouteInfo> {
        let limited = path.ends_with("/Small") || path == "/small";
        let (index, format, delivery) = match path {
            "/raw" | "/small" => (RAW, Format::Raw, Delivery::Whole),
            "/frames" => (FRAMES, Format::Raw, Delivery::Frames),
            "/t.S/M" | "/t.S/Small" => (TYPED, Format::Enveloped, Delivery::Whole),
            "/t.S/F" | "/t.F/Small" => (TYPED_FRAMES, Format::Enveloped, Delivery::Frames),
            _ => return None,
        };
        Some(RouteInfo {
            index,
            format,
            delivery,
            max_message: limited.then_some(SMALL),
        })
    }

    fn criticality(&self, _: usize, _: bool, data: &[u8]) -> Option<Criticality> {
        match data {
            b"system" => None,
            b"plus" => Some(Criticality::CriticalPlus),
            _ => Some(Criticality::Critical),
        }
    }
}

/// A frame that a session sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) kind: u8,
    pub(super) path: String,
    pub(super) channel: u32,
    pub(super) data: Vec<u8>,
}

impl Sent {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.data).expect("text")
    }

    /// The sequence number and the records of enveloped data.
    pub(super) fn records(&self) -> (u16, &[u8]) {
        let (_, seq) = read_envelope(&self.data).expect("enveloped");
        (seq, &self.data[ENVELOPE_LENGTH..])
    }
}

pub(super) fn sent(kind: u8, path: &str, channel: u32, data: impl AsRef<[u8]>) -> Sent {
    Sent {
        kind,
        path: path.into(),
        channel,
        data: data.as_ref().to_vec(),
    }
}

pub(super) fn encode(kind: u8, path: &str, channel: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let kind = FrameKind::from_u8(kind).expect("a kind");
    assert!(encode_frame(&mut out, kind, path, ChannelId(channel), data));
    out
}

/// Only a header, announcing `length`.
pub(super) fn encode_head(kind: u8, path: &str, channel: u32, length: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let kind = FrameKind::from_u8(kind).expect("a kind");
    crate::wire::encode_header(&mut out, kind, path, ChannelId(channel), length);
    out
}

pub(super) fn decode_all(bytes: &[u8]) -> Vec<Sent> {
    let mut decoder = Decoder::new(MAX_DATA);
    let mut buf = BytesMut::from(bytes);
    let mut frames = Vec::new();
    loop {
        match decoder.decode(&mut buf) {
            Ok(Decoded::Frame(frame)) => frames.push(Sent {
                kind: frame.kind().as_u8(),
                path: String::from_utf8(frame.path().to_vec()).expect("text"),
                channel: frame.channel().0,
                data: frame.into_data().to_vec(),
            }),
            Ok(Decoded::Incomplete) => {
                assert!(buf.is_empty(), "a session sent half a frame");
                return frames;
            }
            other => panic!("a session sent no frame: {other:?}"),
        }
    }
}

/// Enveloped data: of a request, or of a response.
pub(super) fn request_data(seq: u16, records: &[u8]) -> Vec<u8> {
    [&envelope(0, seq)[..], records].concat()
}

pub(super) fn response_data(seq: u16, records: &[u8]) -> Vec<u8> {
    [&envelope(0x80, seq)[..], records].concat()
}

pub(super) fn payload(data: impl AsRef<[u8]>) -> Payload {
    Payload::Whole(Bytes::copy_from_slice(data.as_ref()))
}

pub(super) fn chunks<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Payload {
    let chunk = |piece: &[u8]| Chunk::new(&[], Bytes::copy_from_slice(piece));
    Payload::Chunks(pieces.into_iter().map(chunk).collect())
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A server's session.
pub(super) struct ServerRig {
    pub(super) session: ServerSession<Routes>,
    pub(super) input: BytesMut,
    pub(super) now: Instant,
    pub(super) output: Vec<u8>,
}

impl ServerRig {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            session: ServerSession::new(Arc::new(limits), Routes, Some(10 * SECOND), now),
            input: BytesMut::new(),
            now,
            output: Vec::new(),
        }
    }

    /// With `channels` channels granted to a plain client.
    pub(super) fn plain(limits: Limits, channels: usize) -> Self {
        let mut rig = Self::new(limits);
        for _ in 0..channels {
            rig.frame(1, "/sys/new_channel", 0, b"{}");
        }
        rig.sent();
        rig
    }

    /// After a hello that asked for `channels`.
    pub(super) fn native(limits: Limits, channels: u32) -> Self {
        let mut rig = Self::new(limits);
        let hello = format!("{{\"v\":1,\"min\":1,\"channels\":{channels}}}");
        rig.frame(1, "/sys/hello", 0, hello.as_bytes());
        assert_eq!(rig.session.profile(), Profile::Native);
        rig.sent();
        rig
    }

    /// With `/sys/events` open on channel 1.
    pub(super) fn with_events(limits: Limits, channels: u32) -> Self {
        let mut rig = Self::native(limits, channels);
        rig.frame(0, "/sys/events", 1, &request_data(0, &[]));
        assert_eq!(rig.sent(), [sent(4, "/", 1, response_data(0, &[]))]);
        rig
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.session.handle(&mut self.input, bytes.len(), self.now);
    }

    /// Lets the session read what it left.
    pub(super) fn resume(&mut self) {
        self.session.handle(&mut self.input, 0, self.now);
    }

    pub(super) fn frame(&mut self, kind: u8, path: &str, channel: u32, data: &[u8]) {
        self.feed(&encode(kind, path, channel, data));
    }

    /// All output as frames.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        while self.session.has_output() {
            self.session.poll_transmit(&mut self.output);
        }
        decode_all(&std::mem::take(&mut self.output))
    }

    pub(super) fn events(&mut self) -> Vec<ServerEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// The one call that has just begun.
    pub(super) fn call(&mut self) -> CallId {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "calls");
        calls.remove(0).0
    }

    /// The calls that have just begun, and their data.
    pub(super) fn calls(&mut self) -> Vec<(CallId, Bytes)> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                ServerEvent::Request { call, data, .. } => Some((call, data)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn answer(&mut self, call: CallId, data: impl AsRef<[u8]>) {
        assert!(self.session.respond(call, payload(data)));
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        match self.session.ended() {
            Some(Ended::Violation(violation)) => Some(violation),
            _ => None,
        }
    }

    /// Lets time pass; the session is called when it asked to be.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            let next = self.session.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "asked for the past"
            );
        }
        self.now = until;
    }
}

/// A client's session.
pub(super) struct ClientRig {
    pub(super) session: ClientSession,
    pub(super) input: BytesMut,
    pub(super) now: Instant,
    pub(super) output: Vec<u8>,
}

impl ClientRig {
    pub(super) fn new(config: ClientConfig) -> Self {
        let now = Instant::now();
        Self {
            session: ClientSession::new(config, now),
            input: BytesMut::new(),
            now,
            output: Vec::new(),
        }
    }

    pub(super) fn with_limits(limits: Limits) -> ClientConfig {
        ClientConfig {
            limits: Arc::new(limits),
            ..ClientConfig::default()
        }
    }

    /// Of a native server that granted 1 to `channels`, of which the event stream has taken channel 1, and refuses more.
    pub(super) fn native(config: ClientConfig, channels: u32) -> Self {
        let mut rig = Self::new(config);
        let hello =
            format!("{{\"code\":0,\"v\":1,\"channels\":{channels},\"timeout_us\":7000000}}");
        rig.frame(5, "/", 0, hello.as_bytes());
        rig.frame(
            5,
            "/",
            0,
            br#"{"code":106,"message":"channel create limited"}"#,
        );
        assert!(matches!(
            rig.events()[..],
            [ClientEvent::Ready, ClientEvent::Capacity]
        ));
        rig.sent();
        rig.frame(4, "/", 1, &response_data(0, &[]));
        rig
    }

    /// Of a plain server, with one channel.
    pub(super) fn plain(config: ClientConfig) -> Self {
        let mut rig = Self::new(ClientConfig {
            plain: true,
            ..config
        });
        rig.frame(5, "/sys/new_channel", 0, br#"{"code":0,"channel_id":1}"#);
        assert!(matches!(rig.events()[..], [ClientEvent::Ready]));
        rig.sent();
        rig
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.session.handle(&mut self.input, bytes.len(), self.now);
    }

    pub(super) fn frame(&mut self, kind: u8, path: &str, channel: u32, data: &[u8]) {
        self.feed(&encode(kind, path, channel, data));
    }

    /// All output as frames, given to the socket.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        while self.session.has_output() {
            self.session.poll_transmit(&mut self.output);
        }
        let output = std::mem::take(&mut self.output);
        self.session.written(output.len());
        decode_all(&output)
    }

    pub(super) fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    pub(super) fn open(&mut self, path: &str, options: OpenOptions, payload: Payload) -> CallId {
        let path = Path::new(path).expect("a path");
        self.session
            .open(&path, options, payload, self.now)
            .expect("a call")
    }

    pub(super) fn raw(&mut self, data: &[u8]) -> CallId {
        self.open("/raw", OpenOptions::default(), payload(data))
    }

    pub(super) fn typed(&mut self, records: &[u8]) -> CallId {
        self.open("/t.S/M", typed(), payload(records))
    }

    pub(super) fn release(&mut self, call: CallId) {
        self.session.release(call, self.now);
    }

    /// The whole responses that have just come.
    pub(super) fn responses(&mut self) -> Vec<(CallId, Bytes)> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                ClientEvent::Response {
                    call,
                    data,
                    last: true,
                } => Some((call, data)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        match self.session.ended() {
            Some(Ended::Violation(violation)) => Some(violation),
            _ => None,
        }
    }

    /// Lets time pass; the session is called when it asked to be.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            let next = self.session.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "asked for the past"
            );
        }
        self.now = until;
    }
}

pub(super) fn typed() -> OpenOptions {
    OpenOptions {
        format: Format::Enveloped,
        ..OpenOptions::default()
    }
}

pub(super) fn frames() -> OpenOptions {
    OpenOptions {
        delivery: Delivery::Frames,
        more: true,
        ..OpenOptions::default()
    }
}
