use std::time::Duration;

use super::credit::MIN_WINDOW;
use super::encodings::Encodings;
use crate::wire::MAX_DATA;

/// What one connection may cost, on either side (`docs/protocol.md`, section 11).
///
/// The worst case a peer can make a connection hold is about `receive_budget + write_hard_limit + max_message`, plus
/// 4 KiB and 256 bytes per channel in use.
#[derive(Debug, Clone)]
pub struct Limits {
    pub(crate) max_frame: u32,
    pub(crate) max_message: usize,
    pub(crate) max_plain_message: usize,
    pub(crate) max_channels: u32,
    pub(crate) max_plain_channels: u32,
    pub(crate) max_queued_per_channel: usize,
    pub(crate) max_plain_in_flight: usize,
    pub(crate) max_incomplete: usize,
    pub(crate) receive_budget: usize,
    pub(crate) write_soft_limit: usize,
    pub(crate) write_hard_limit: usize,
    pub(crate) first_frame_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_grace: Duration,
    pub(crate) body_rate: u32,
    pub(crate) assembly_timeout: Duration,
    pub(crate) assembly_stall: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) control_rate: u32,
    pub(crate) control_burst: u32,
    pub(crate) max_abandoned: usize,
    pub(crate) window: u32,
    pub(crate) encodings: Encodings,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: MAX_DATA,
            max_message: 4 * 1024 * 1024,
            max_plain_message: MAX_DATA as usize,
            max_channels: 2048,
            max_plain_channels: 256,
            max_queued_per_channel: 64,
            max_plain_in_flight: 256,
            max_incomplete: 1024,
            receive_budget: 128 * 1024 * 1024,
            write_soft_limit: 1024 * 1024,
            write_hard_limit: 16 * 1024 * 1024,
            first_frame_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(5),
            body_grace: Duration::from_secs(2),
            body_rate: 16 * 1024,
            assembly_timeout: Duration::from_secs(30),
            assembly_stall: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(600),
            control_rate: 200,
            control_burst: 1000,
            max_abandoned: 100,
            window: MIN_WINDOW,
            encodings: Encodings::NONE,
        }
    }
}

/// A longer time limit counts as this one, a year: the sum of a limit and an instant must not overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The value of a setting within the range that calculations can bear.
trait Setting {
    fn bounded(self) -> Self;
}

impl Setting for u32 {
    fn bounded(self) -> Self {
        self
    }
}

impl Setting for usize {
    fn bounded(self) -> Self {
        self
    }
}

impl Setting for Encodings {
    fn bounded(self) -> Self {
        self
    }
}

impl Setting for Duration {
    fn bounded(self) -> Self {
        self.min(LONGEST)
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty;)*) => {
        impl Limits {
            $($(#[$doc])* #[must_use] pub fn $name(mut self, value: $kind) -> Self {
                self.$name = value.bounded();
                self
            })*
        }
    };
}

setters! {
    /// Encodings of compressed messages that are read, told to the peer in the hello; default none. What they cost is
    /// the business of who decompresses.
    encodings: Encodings;
    /// Most data of one received frame, bytes; default and maximum 16 MiB. A longer frame closes the connection.
    max_frame: u32;
    /// Largest message received from a native peer, bytes; default 4 MiB. A larger one fails its own call. Costs up
    /// to this much memory for each call being received.
    max_message: usize;
    /// Largest message received from a plain peer, bytes; default 16 MiB, which is what the reference's peers send.
    max_plain_message: usize;
    /// Channels granted to, or asked for by, a native peer, and so its calls at a time; default 2,048. An unused
    /// channel costs nothing.
    max_channels: u32;
    /// Channels of a plain peer that may have a call at the same time; default 256.
    max_plain_channels: u32;
    /// Requests a peer may queue on one channel behind the one being answered; default 64. At the limit the
    /// connection is not read until one is answered.
    max_queued_per_channel: usize;
    /// Requests of a plain peer in work or queued on one connection; default 256. At the limit the connection is
    /// not read until one is answered.
    max_plain_in_flight: usize;
    /// Messages of several frames that may be under assembly on one connection; default 1,024, so that as many callers of a
    /// large method as a connection is likely to have are served. Their bytes are bounded by `receive_budget`. A further
    /// one is refused.
    max_incomplete: usize;
    /// Bytes one connection may hold for its peer in unfinished and queued messages; default 128 MiB. What would
    /// exceed it is refused. Half of it bounds the windows of all channels together, the other half what is granted
    /// beyond them. Replies that wait for their client's credit may be as much again; beyond that new calls are refused.
    receive_budget: usize;
    /// Bytes of unsent replies that no credit covers at which a server stops reading a connection; default 1 MiB. Those
    /// are raw replies, and messages of one frame.
    write_soft_limit: usize;
    /// Bytes of unsent replies beyond which a connection is closed if its peer reads nothing for 2 s; default 16 MiB.
    write_hard_limit: usize;
    /// How long a new connection may take until its first frame header is complete; default 10 s.
    first_frame_timeout: Duration;
    /// How long a frame header may take from its first to its last byte; default 5 s.
    header_timeout: Duration;
    /// How long a frame's data may arrive slower than [`body_rate`](Self::body_rate); default 2 s.
    body_grace: Duration;
    /// Slowest average rate at which a frame's data may arrive, bytes per second; default 16 KiB/s.
    body_rate: u32;
    /// How long a message of several frames may take in all on a server; default 30 s. Beyond it its call fails, also one
    /// that streams messages, unless the message waits for credit (`docs/protocol.md`, section 11).
    assembly_timeout: Duration;
    /// Longest pause between two frames of one message on a server, with the same effect; default 10 s.
    assembly_stall: Duration;
    /// How long a native connection without calls is kept; default 10 minutes. Plain connections are never closed
    /// for being idle: the reference's client would not notice.
    idle_timeout: Duration;
    /// Channel requests and pings accepted per second in the long run; default 200.
    control_rate: u32;
    /// Channel requests and pings accepted at once; default 1,000.
    control_burst: u32;
    /// Calls of one connection that were answered by the framework while their handler runs on without an await, so that
    /// it cannot be stopped; default 100. Beyond it new calls are refused.
    max_abandoned: usize;
    /// Credit that each call begins with in either direction, bytes; default and least 32 KiB. It grows to 4 MiB by
    /// itself for calls that need more.
    window: u32;
}

impl Limits {
    /// The window announced.
    pub(crate) fn window_bytes(&self) -> u32 {
        self.window.max(MIN_WINDOW)
    }

    /// Channels between native peers: only as many as have windows that fill at most half the budget together.
    pub(crate) fn native_channels(&self) -> u32 {
        let covered = self.receive_budget / 2 / self.window_bytes() as usize;
        self.max_channels
            .min(u32::try_from(covered).unwrap_or(u32::MAX))
            .max(2)
    }
}

/// Room for the metadata and the record headers of an enveloped message, bytes.
const ENVELOPE_OVERHEAD: usize = 64 * 1024;

/// Most data of all frames of one message of at most `max_message` bytes. The records of an enveloped one take more room
/// than the message; its exact limit is the envelope reader's.
pub(crate) fn most_data(max_message: usize, enveloped: bool) -> usize {
    if enveloped {
        max_message
            .saturating_add(max_message / 1024)
            .saturating_add(ENVELOPE_OVERHEAD)
    } else {
        max_message
    }
}
