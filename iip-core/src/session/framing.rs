use super::channel::CallId;
use super::control::{ENVELOPE_LENGTH, envelope};
use crate::wire::{FrameKind, MAX_DATA, Path, encode_header};

/// How the frames of one message look.
#[derive(Debug, Clone)]
pub(crate) struct Framing {
    pub(crate) response: bool,
    /// `None`: the path `/`.
    pub(crate) path: Option<Path>,
    /// Flags and sequence number.
    pub(crate) envelope: Option<(u8, u16)>,
    /// Most data of a frame, the envelope included.
    pub(crate) max_data: usize,
}

impl Framing {
    fn kind(&self, first: bool, last: bool) -> FrameKind {
        if self.response {
            FrameKind::response(first, last)
        } else {
            FrameKind::request(first, last)
        }
    }

    /// A frame of small parts.
    pub(super) fn encode(
        &self,
        out: &mut Vec<u8>,
        call: CallId,
        place: (bool, bool),
        head: &[u8],
        body: &[u8],
    ) {
        self.encode_head(out, call, place, head, body.len());
        out.extend_from_slice(body);
    }

    /// A frame up to its last part, which has `rest` bytes and is to follow.
    pub(super) fn encode_head(
        &self,
        out: &mut Vec<u8>,
        call: CallId,
        place: (bool, bool),
        head: &[u8],
        rest: usize,
    ) {
        let prefix = self.envelope.map(|(flags, seq)| envelope(flags, seq));
        let length = prefix.map_or(0, |p| p.len()) + head.len() + rest;
        let path = match &self.path {
            Some(path) if self.response => path.path(),
            // Requests of several frames go to native servers only, which read the path of the first.
            Some(path) if place.0 => path.as_str(),
            _ => "/",
        };
        // Every caller bounds the data by `max_data`, which is at most MAX_DATA.
        let length = u32::try_from(length).unwrap_or(MAX_DATA);
        encode_header(out, self.kind(place.0, place.1), path, call.channel, length);
        if let Some(prefix) = prefix {
            out.extend_from_slice(&prefix);
        }
        out.extend_from_slice(head);
    }

    /// Bytes of data left for the payload in each frame.
    pub(super) fn room(&self) -> usize {
        self.max_data - self.envelope.map_or(0, |_| ENVELOPE_LENGTH)
    }
}
