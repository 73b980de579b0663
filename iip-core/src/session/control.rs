//! The texts of the `/sys/…` paths and the records of `/sys/events` (`docs/protocol.md`, sections 4, 5 and 9).

use std::fmt::Write;
use std::time::Duration;

use super::credit::MIN_WINDOW;
use super::encodings::Encodings;
use super::json::{Value, write_string};
use crate::wire::ChannelId;
use crate::wire::record::{RecordKind, Records, decode_varint, encode_header, encode_varint};

/// Path of the hello.
pub(super) const HELLO: &str = "/sys/hello";
/// Path of a request for one more channel.
pub(super) const NEW_CHANNEL: &str = "/sys/new_channel";
/// Path by which the reference's clients give a channel up.
pub(super) const DELETE_CHANNEL: &str = "/sys/delete_channel";
/// Path of the reference's counters; every server answers it in a few bytes.
pub(super) const SERVER_COUNT: &str = "/sys/server_count";
/// Path of the connection's event stream.
pub(super) const EVENTS: &str = "/sys/events";

/// First byte of every enveloped frame's data.
pub(super) const ENVELOPE_MARK: u8 = 0x0f;
/// Flag of responses in the envelope's second byte.
pub(super) const ENVELOPE_RESPONSE: u8 = 0x80;
/// Bytes before the records of an enveloped frame.
pub const ENVELOPE_LENGTH: usize = 4;

/// Version of the protocol inside the data.
pub(super) const VERSION: i64 = 1;

/// Longest `/sys` text that is read, bytes.
pub(super) const MAX_CONTROL: usize = 64 * 1024;

/// An answer in the reference's error form: `{"code":…,"message":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// A non-zero number: the reference's 100 to 108 and -1, or this project's 109 to 114.
    pub code: i64,
    /// For people.
    pub message: String,
}

impl ErrorReply {
    /// Nothing came out of the handler.
    pub const NO_RESPONSE: i64 = 101;
    /// No handler has this path.
    pub const NO_HANDLER: i64 = 102;
    /// For no reason that the answer tells.
    pub const UNKNOWN: i64 = 104;
    /// No further channel is granted.
    pub const CHANNEL_LIMIT: i64 = 106;
    /// The server has too much to do.
    pub const OVERLOADED: i64 = 109;
    /// The server is stopping.
    pub const DRAINING: i64 = 110;
    /// The message is larger than the receiver accepts.
    pub const TOO_LARGE: i64 = 111;
    /// The caller is not known.
    pub const UNAUTHENTICATED: i64 = 112;
    /// The caller may not do this.
    pub const PERMISSION_DENIED: i64 = 113;
    /// The deadline passed.
    pub const DEADLINE_EXCEEDED: i64 = 114;
    /// The handler failed.
    pub const HANDLER_FAILED: i64 = -1;

    /// An error reply.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The text the reference sends for a path without a handler.
    pub fn no_handler() -> Self {
        Self::new(Self::NO_HANDLER, "handle error")
    }

    /// Reads a reply. `None`: it is not a JSON object with a non-zero integer `code`, so it is ordinary data.
    pub fn parse(data: &[u8]) -> Option<Self> {
        if data.trim_ascii_start().first() != Some(&b'{') || data.len() > MAX_CONTROL {
            return None;
        }
        let value = Value::parse(data)?;
        let code = value.get("code")?.as_integer().filter(|code| *code != 0)?;
        let message = value
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(Self::new(code, message))
    }

    /// The reply as JSON, in the reference's order of keys and without spaces.
    pub fn to_json(&self) -> String {
        let mut out = format!("{{\"code\":{}", self.code);
        if !self.message.is_empty() {
            out.push_str(",\"message\":");
            write_string(&mut out, &self.message);
        }
        out.push('}');
        out
    }
}

/// A client's hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: i64,
    pub(crate) min: i64,
    pub(crate) window: u32,
    pub(crate) max_message: usize,
    pub(crate) channels: u32,
    pub(crate) encodings: Encodings,
}

impl Hello {
    pub(crate) fn to_json(&self) -> String {
        let mut out = format!(
            "{{\"v\":{},\"min\":{},\"window\":{},\"max_message\":{},\"channels\":{},\"encodings\":",
            self.version, self.min, self.window, self.max_message, self.channels,
        );
        self.encodings.write(&mut out);
        let _ = write!(out, ",\"agent\":\"{AGENT}\"}}");
        out
    }

    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let value = Value::parse(data.get(..data.len().min(MAX_CONTROL))?)?;
        let number = |name: &str| value.get(name).and_then(Value::as_integer);
        let version = number("v").filter(|v| *v >= 1)?;
        Some(Self {
            version,
            min: number("min").unwrap_or(version),
            window: clamp_u32(number("window"), MIN_WINDOW),
            max_message: clamp_u32(number("max_message"), 4 * 1024 * 1024) as usize,
            channels: clamp_u32(number("channels"), 2),
            encodings: Encodings::read(value.get("encodings")),
        })
    }
}

/// A native server's answer to the hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HelloReply {
    pub(crate) version: i64,
    pub(crate) window: u32,
    pub(crate) max_message: usize,
    pub(crate) channels: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) encodings: Encodings,
}

impl HelloReply {
    pub(crate) fn to_json(&self) -> String {
        let mut out = format!(
            "{{\"code\":0,\"v\":{},\"window\":{},\"max_message\":{},\"channels\":{}",
            self.version, self.window, self.max_message, self.channels,
        );
        if let Some(timeout) = self.timeout {
            let _ = write!(out, ",\"timeout_us\":{}", timeout.as_micros());
        }
        out.push_str(",\"encodings\":");
        self.encodings.write(&mut out);
        let _ = write!(out, ",\"agent\":\"{AGENT}\"}}");
        out
    }

    /// `None`: the answer is not a native server's.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        if data.len() > MAX_CONTROL {
            return None;
        }
        let value = Value::parse(data)?;
        let number = |name: &str| value.get(name).and_then(Value::as_integer);
        if number("code") != Some(0) {
            return None;
        }
        Some(Self {
            version: number("v")?,
            window: clamp_u32(number("window"), MIN_WINDOW),
            max_message: clamp_u32(number("max_message"), 4 * 1024 * 1024) as usize,
            channels: clamp_u32(number("channels"), 2).max(2),
            timeout: number("timeout_us")
                .and_then(|us| u64::try_from(us).ok())
                .map(Duration::from_micros),
            encodings: Encodings::read(value.get("encodings")),
        })
    }
}

const AGENT: &str = concat!("iip-rpc/", env!("CARGO_PKG_VERSION"));

fn clamp_u32(number: Option<i64>, default: u32) -> u32 {
    number.map_or(default, |n| {
        u32::try_from(n.clamp(0, i64::from(u32::MAX))).unwrap_or(default)
    })
}

/// The answer to a channel request.
pub(crate) fn grant_json(channel: u32) -> String {
    if channel == 0 {
        return String::from("{\"code\":0}");
    }
    format!("{{\"code\":0,\"channel_id\":{channel}}}")
}

/// Reads the answer to a channel request: the number granted.
pub(crate) fn parse_grant(data: &[u8]) -> Result<u32, ErrorReply> {
    let refused = || {
        ErrorReply::parse(data).unwrap_or_else(|| {
            ErrorReply::new(-1, "the answer to /sys/new_channel is not readable")
        })
    };
    if data.len() > MAX_CONTROL {
        return Err(refused());
    }
    Value::parse(data)
        .filter(|value| value.get("code").and_then(Value::as_integer) == Some(0))
        .and_then(|value| value.get("channel_id").and_then(Value::as_integer))
        .and_then(|id| u32::try_from(id).ok())
        .filter(|id| *id > 0)
        .ok_or_else(refused)
}

/// A record of `/sys/events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectionEvent {
    Ping([u8; 8]),
    Pong([u8; 8]),
    GoAway {
        code: u64,
        text: String,
    },
    Ack,
    /// Credit for the call with this sequence number.
    Window {
        channel: ChannelId,
        seq: u16,
        bytes: u64,
    },
    /// Nobody waits for that call any more.
    Cancel {
        channel: ChannelId,
        seq: u16,
    },
    /// A record that may be skipped.
    Ignored,
}

/// Longest GOAWAY text kept, bytes.
const MAX_TEXT: usize = 256;

impl ConnectionEvent {
    /// Reads every record of a frame. `None`: one cannot be read.
    pub(crate) fn parse(records: &[u8]) -> Option<Vec<Self>> {
        let mut events = Vec::new();
        for record in Records::new(records) {
            let record = record.ok()?;
            let payload = record.payload;
            events.push(match record.kind {
                RecordKind::PING => Self::Ping(payload.try_into().ok()?),
                RecordKind::PONG => Self::Pong(payload.try_into().ok()?),
                RecordKind::GOAWAY => {
                    let (code, rest) = take_varint(payload)?;
                    let (_channel, rest) = take_varint(rest)?;
                    let (_seq, text) = take_varint(rest)?;
                    let text = text.get(..text.len().min(MAX_TEXT))?;
                    let text = String::from_utf8_lossy(text).into_owned();
                    Self::GoAway { code, text }
                }
                RecordKind::ACK => Self::Ack,
                RecordKind::WINDOW => {
                    let (call, rest) = take_call(payload)?;
                    let (bytes, _) = take_varint(rest)?;
                    call.map_or(Self::Ignored, |(channel, seq)| Self::Window {
                        channel,
                        seq,
                        bytes,
                    })
                }
                RecordKind::EVENT_CANCEL => {
                    let (call, _) = take_call(payload)?;
                    call.map_or(Self::Ignored, |(channel, seq)| Self::Cancel {
                        channel,
                        seq,
                    })
                }
                other if other.is_skippable() => Self::Ignored,
                _ => return None,
            });
        }
        Some(events)
    }

    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ping(token) => put_record(out, RecordKind::PING, token),
            Self::Pong(token) => put_record(out, RecordKind::PONG, token),
            Self::Ack => put_record(out, RecordKind::ACK, &[]),
            Self::GoAway { code, text } => encode_goaway(out, *code, 0, 0, text),
            Self::Window {
                channel,
                seq,
                bytes,
            } => put_numbers(
                out,
                RecordKind::WINDOW,
                &[u64::from(channel.0), u64::from(*seq), *bytes],
            ),
            Self::Cancel { channel, seq } => put_numbers(
                out,
                RecordKind::EVENT_CANCEL,
                &[u64::from(channel.0), u64::from(*seq)],
            ),
            Self::Ignored => {}
        }
    }
}

fn put_numbers(out: &mut Vec<u8>, kind: RecordKind, numbers: &[u64]) {
    let mut payload = Vec::with_capacity(16);
    for number in numbers {
        payload.extend_from_slice(&encode_varint(*number));
    }
    put_record(out, kind, &payload);
}

/// A channel and a sequence number; `None` inside: no call can have them.
#[allow(clippy::type_complexity)]
fn take_call(bytes: &[u8]) -> Option<(Option<(ChannelId, u16)>, &[u8])> {
    let (channel, rest) = take_varint(bytes)?;
    let (seq, rest) = take_varint(rest)?;
    let call = u32::try_from(channel).ok().zip(u16::try_from(seq).ok());
    Some((call.map(|(channel, seq)| (ChannelId(channel), seq)), rest))
}

/// Appends a GOAWAY record.
pub(crate) fn encode_goaway(out: &mut Vec<u8>, code: u64, channel: u32, seq: u16, text: &str) {
    let mut payload = Vec::with_capacity(16 + text.len());
    for number in [code, u64::from(channel), u64::from(seq)] {
        payload.extend_from_slice(&encode_varint(number));
    }
    payload.extend(text.bytes().take(MAX_TEXT));
    put_record(out, RecordKind::GOAWAY, &payload);
}

fn put_record(out: &mut Vec<u8>, kind: RecordKind, payload: &[u8]) {
    out.extend_from_slice(&encode_header(kind, payload.len() as u64));
    out.extend_from_slice(payload);
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (value, used) = decode_varint(bytes).ok()?;
    Some((value, bytes.get(used..)?))
}

/// The 4 bytes before the records of an enveloped frame.
pub(crate) const fn envelope(flags: u8, seq: u16) -> [u8; ENVELOPE_LENGTH] {
    let [high, low] = seq.to_be_bytes();
    [ENVELOPE_MARK, flags, high, low]
}

/// Reads the envelope of a frame's data: its flags and sequence number.
pub(crate) fn read_envelope(data: &[u8]) -> Option<(u8, u16)> {
    match data.first_chunk()? {
        [ENVELOPE_MARK, flags, high, low] => Some((*flags, u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}
