//! The states one direction of a channel goes through (`docs/protocol.md`, section 2.2).
//!
//! ```text
//!            whole
//!           ┌─────┐
//!           ▼     │   first          next
//!          ┌────────┐ ─────▶ ┌────────┐ ──┐
//!   start ▶│  Idle  │        │  Open  │   │
//!          └────────┘ ◀───── └────────┘ ◀─┘
//!                      last
//! ```

use crate::wire::FrameKind;

/// Whether a message is under way in one direction of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessageState {
    /// Between two messages.
    #[default]
    Idle,
    /// A first frame was seen, the last one was not.
    Open,
}

impl MessageState {
    /// The state after a frame of this kind; `None` if the frame is not allowed now. Only the frame's place in its
    /// message counts here; whose kinds are received by whom is the session's business.
    #[must_use]
    pub const fn after(self, kind: FrameKind) -> Option<Self> {
        if matches!(kind, FrameKind::Close) {
            return None;
        }
        match (self, kind.is_first(), kind.is_last()) {
            (Self::Idle, true, true) | (Self::Open, false, true) => Some(Self::Idle),
            (Self::Idle, true, false) | (Self::Open, false, false) => Some(Self::Open),
            _ => None,
        }
    }
}

/// Names one call of a connection. A channel is used by one call after another; the generation tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The channel the call runs on.
    pub channel: crate::wire::ChannelId,
    /// Tells the calls of one channel apart.
    pub generation: u64,
}

/// What the data of a call's frames is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The user's bytes, untouched.
    #[default]
    Raw,
    /// Records behind the 4-byte envelope, if the peer is native.
    Enveloped,
}

/// How a message of several frames is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Once, when it is complete.
    #[default]
    Whole,
    /// Frame by frame, as it arrives.
    Frames,
}

/// What the peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// IIP only: the reference, or anything written from its description.
    #[default]
    Plain,
    /// IIP, a hello, and what was agreed in it.
    Native,
}
