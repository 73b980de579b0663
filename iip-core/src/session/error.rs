use std::fmt;

use crate::wire::{ChannelId, FrameKind, WireError};

/// What the peer did that ends the connection (`docs/protocol.md`, section 10).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are no frames.
    Wire(WireError),
    /// A frame kind that this side never receives, or not in this state of the channel.
    UnexpectedKind {
        /// The frame's kind.
        kind: FrameKind,
        /// The channel it came on.
        channel: ChannelId,
    },
    /// A frame on a channel that was never granted.
    UnknownChannel(ChannelId),
    /// A response on a channel on which none is owed.
    ResponseWithoutRequest(ChannelId),
    /// A response that names another path than its request.
    WrongPath(ChannelId),
    /// Data of a typed call that does not begin with the envelope, or with another call's sequence number.
    WrongEnvelope(ChannelId),
    /// A record on `/sys/events` that cannot be read.
    BadEvent,
    /// A `/sys/…` answer that cannot be read.
    BadControl,
    /// More channel requests, pings or tiny frames than the limits allow.
    Flood(&'static str),
    /// Something did not arrive in time.
    Slow(&'static str),
    /// More unsent output than the limits allow.
    OutputFull,
    /// The window that the peer announces is smaller than every window has to be.
    SmallWindow,
    /// More of a call's messages than credit was granted for.
    Overrun(ChannelId),
    /// More credit than there can be.
    Overgrant(ChannelId),
    /// A message went on far beyond the size at which it was refused.
    Endless(ChannelId),
}

impl Violation {
    /// The number GOAWAY carries.
    pub const fn code(&self) -> u64 {
        match self {
            Self::Slow(_) => 3,
            Self::Flood(_) | Self::Endless(_) | Self::OutputFull => 2,
            _ => 1,
        }
    }

    /// The channel GOAWAY names.
    pub const fn channel(&self) -> ChannelId {
        match self {
            Self::UnexpectedKind { channel, .. }
            | Self::UnknownChannel(channel)
            | Self::ResponseWithoutRequest(channel)
            | Self::WrongPath(channel)
            | Self::WrongEnvelope(channel)
            | Self::Overrun(channel)
            | Self::Overgrant(channel)
            | Self::Endless(channel) => *channel,
            _ => ChannelId::ZERO,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::UnexpectedKind { kind, channel } => {
                write!(
                    f,
                    "frame kind {} is not allowed now on channel {channel}",
                    kind.as_u8()
                )
            }
            Self::UnknownChannel(channel) => write!(f, "channel {channel} was never granted"),
            Self::ResponseWithoutRequest(channel) => {
                write!(f, "a response on channel {channel}, where none is owed")
            }
            Self::WrongPath(channel) => write!(
                f,
                "a response on channel {channel} names another path than its request"
            ),
            Self::WrongEnvelope(channel) => {
                write!(
                    f,
                    "a frame on channel {channel} does not belong to the call in progress"
                )
            }
            Self::BadEvent => f.write_str("a record on /sys/events cannot be read"),
            Self::BadControl => f.write_str("the answer to a /sys request cannot be read"),
            Self::Flood(what) => write!(f, "too many {what}"),
            Self::Slow(what) => write!(f, "{what} took too long"),
            Self::OutputFull => {
                f.write_str("the peer does not read, and unsent output exceeds the limit")
            }
            Self::SmallWindow => f.write_str("the peer announces a window below 32768 bytes"),
            Self::Overrun(channel) => {
                write!(f, "more on channel {channel} than credit was granted for")
            }
            Self::Overgrant(channel) => {
                write!(f, "more credit for channel {channel} than there can be")
            }
            Self::Endless(channel) => write!(
                f,
                "the message on channel {channel} does not end although it was refused"
            ),
        }
    }
}

impl std::error::Error for Violation {}

impl From<WireError> for Violation {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer closed the connection.
    ByPeer,
    /// The peer said why it closes, with GOAWAY.
    GoAway {
        /// GOAWAY's number.
        code: u64,
        /// GOAWAY's text, at most 256 bytes.
        text: String,
    },
    /// This side closed the connection.
    Locally,
    /// Nothing was in flight for the idle time-out.
    Idle,
    /// The socket failed.
    Io(std::io::ErrorKind),
    /// The two sides speak no common version of the protocol (`docs/protocol.md`, section 5).
    Version {
        /// The version that this side speaks.
        ours: i64,
        /// The one nearest to it that the peer speaks.
        theirs: i64,
    },
    /// The peer did not answer a ping or the hello in time.
    Silent(&'static str),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => write!(f, "protocol error: {violation}"),
            Self::ByPeer => f.write_str("the peer closed the connection"),
            Self::GoAway { code, text } => write!(
                f,
                "the peer closed the connection (code {code}): {}",
                text.escape_debug()
            ),
            Self::Locally => f.write_str("the connection was closed on this side"),
            Self::Idle => f.write_str("the connection was idle for too long"),
            Self::Io(kind) => write!(f, "the socket failed: {kind}"),
            Self::Version { ours, theirs } => write!(
                f,
                "no common version of the protocol: this side speaks {ours}, the peer {theirs}"
            ),
            Self::Silent(what) => write!(f, "the peer did not answer {what} in time"),
        }
    }
}

impl std::error::Error for Ended {}
