//! What the two session targets share: an input read as a script, and a check of what a session sends.

use std::collections::HashMap;
use std::time::Duration;

use bytes::BytesMut;
use iip_core::session::MessageState;
use iip_core::wire::{ChannelId, Decoded, Decoder, FrameKind, MAX_DATA, encode_frame};

/// The input, read from its start.
pub(crate) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The next step; `None` at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next byte, 0 at the end.
    pub(crate) fn byte(&mut self) -> u8 {
        self.step().unwrap_or(0)
    }

    /// The next bytes, as many as there are.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A size: mostly small, sometimes around the length of a chunk.
    pub(crate) fn size(&mut self) -> usize {
        match self.byte() {
            small @ 0..=199 => usize::from(small),
            large @ 200..=239 => (usize::from(large) - 199) * 257,
            chunk => 32 * 1024 - 250 + usize::from(chunk),
        }
    }

    /// From nothing to twelve minutes.
    pub(crate) fn pause(&mut self) -> Duration {
        let byte = self.byte();
        Duration::from_millis(match byte {
            0 => 0,
            1..=99 => u64::from(byte) * 10,
            100..=199 => u64::from(byte - 99) * 250,
            _ => u64::from(byte - 199) * 13_000,
        })
    }
}

/// Appends a frame; `data` that is empty becomes one byte.
pub(crate) fn put_frame(out: &mut BytesMut, kind: u8, path: &str, channel: u32, data: &[u8]) {
    let Some(kind) = FrameKind::from_u8(kind) else {
        return;
    };
    let data = if data.is_empty() { &[0][..] } else { data };
    let mut frame = Vec::new();
    assert!(encode_frame(
        &mut frame,
        kind,
        path,
        ChannelId(channel),
        data
    ));
    out.extend_from_slice(&frame);
}

/// Follows one direction of a connection, as an observer who knows IIP only.
pub(crate) struct Observer {
    decoder: Decoder,
    buffer: BytesMut,
    states: HashMap<u32, MessageState>,
    /// Messages begun on each channel.
    pub(crate) begun: HashMap<u32, u64>,
    /// Messages completed on each channel.
    completed: HashMap<u32, u64>,
    /// Why the bytes are no frames in order any more.
    broken: Option<String>,
}

impl Observer {
    pub(crate) fn new() -> Self {
        Self {
            decoder: Decoder::new(MAX_DATA),
            buffer: BytesMut::new(),
            states: HashMap::new(),
            begun: HashMap::new(),
            completed: HashMap::new(),
            broken: None,
        }
    }

    /// Takes further bytes. Stops at the first that are no frame.
    pub(crate) fn see(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while self.broken.is_none() {
            match self.decoder.decode(&mut self.buffer) {
                Ok(Decoded::Frame(frame)) => {
                    let (kind, channel) = (frame.kind(), frame.channel().0);
                    if kind.is_first() {
                        *self.begun.entry(channel).or_default() += 1;
                    }
                    if kind.is_last() {
                        *self.completed.entry(channel).or_default() += 1;
                    }
                    let state = self.states.entry(channel).or_default();
                    match state.after(kind) {
                        Some(next) => *state = next,
                        None => {
                            self.broken = Some(format!("{kind:?} on channel {channel}, {state:?}"))
                        }
                    }
                }
                Ok(Decoded::Incomplete) => return,
                Ok(Decoded::Close) => self.broken = Some(String::from("kind 8")),
                Err(error) => self.broken = Some(error.to_string()),
            }
        }
    }

    /// The same for what a session sends, which has to be whole frames in a legal order.
    pub(crate) fn see_own(&mut self, bytes: &[u8]) {
        self.see(bytes);
        assert_eq!(
            self.broken, None,
            "a session sent what is no frame, or not in order"
        );
    }

    /// How many messages were begun and completed on a channel, counting a frame once its header is there: a session may
    /// answer a header.
    pub(crate) fn messages(&self, channel: u32) -> (u64, u64) {
        let pending = self.decoder.pending();
        let kind = pending
            .filter(|header| header.channel.0 == channel)
            .map(|header| header.kind);
        let begun =
            Self::count(&self.begun, channel) + u64::from(kind.is_some_and(FrameKind::is_first));
        let completed =
            Self::count(&self.completed, channel) + u64::from(kind.is_some_and(FrameKind::is_last));
        (begun, completed)
    }

    fn count(of: &HashMap<u32, u64>, channel: u32) -> u64 {
        of.get(&channel).copied().unwrap_or(0)
    }
}
