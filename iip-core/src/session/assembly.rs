use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::memory::make_room;
use crate::wire::record::{RecordKind, decode_header, decode_varint, encode_header};

/// A message of several frames on its way to becoming one piece. Its memory grows with what has arrived, never with
/// what was announced.
///
/// Of records, those that hold the parts of one message become one record that holds it whole, so that nobody has to copy
/// it once more.
#[derive(Debug)]
pub(crate) struct Assembly {
    data: BytesMut,
    /// The data are records.
    records: bool,
    begun: Option<Begun>,
    received: usize,
    limit: usize,
    refused: bool,
    started: Instant,
    last: Instant,
}

/// A message of which parts are missing.
#[derive(Debug)]
struct Begun {
    /// Where its record begins.
    at: usize,
    missing: u64,
}

/// What became of a piece given to an [`Assembly`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It was kept.
    Kept,
    /// It made the message too large. All of it was let go, and so will be what follows. Said once.
    TooLarge,
    /// It was let go: the message was refused before.
    Dropped,
    /// It goes on far beyond the limit, although it was refused.
    Endless,
}

impl Assembly {
    /// Of at most `limit` bytes; `records`: they are records.
    pub(crate) fn new(limit: usize, records: bool, now: Instant) -> Self {
        Self {
            data: BytesMut::new(),
            records,
            begun: None,
            received: 0,
            limit,
            refused: false,
            started: now,
            last: now,
        }
    }

    /// An assembly of a message that is refused already, to be read past.
    pub(crate) fn refused(limit: usize, now: Instant) -> Self {
        Self {
            refused: true,
            ..Self::new(limit, false, now)
        }
    }

    /// Takes one frame's data, of which `announced` bytes count (more than `data` where it was skipped).
    pub(crate) fn add(&mut self, data: &[u8], announced: usize, now: Instant) -> Added {
        self.last = now;
        self.received = self.received.saturating_add(announced.max(data.len()));
        if self.refused {
            // Twice the limit, and at least one largest frame more, may already be on its way.
            let tolerated = self
                .limit
                .saturating_mul(2)
                .saturating_add(crate::wire::MAX_DATA as usize);
            return if self.received > tolerated {
                Added::Endless
            } else {
                Added::Dropped
            };
        }
        if self.received > self.limit {
            self.refuse();
            return Added::TooLarge;
        }
        if self.records {
            self.add_records(data);
        } else {
            make_room(&mut self.data, data.len(), self.limit);
            self.data.extend_from_slice(data);
        }
        Added::Kept
    }

    /// Adds records. What cannot be read is added as it is, for the reader to say so.
    fn add_records(&mut self, mut records: &[u8]) {
        while let Ok(Some((kind, length, header))) = decode_header(records)
            && let Some((record, rest)) = usize::try_from(length)
                .ok()
                .and_then(|length| records.split_at_checked(header.checked_add(length)?))
        {
            let payload = record.get(header..).unwrap_or_default();
            if !self.add_part(kind, payload) {
                self.copy(record, 0);
            }
            records = rest;
        }
        if !records.is_empty() {
            self.abandon_message();
            self.copy(records, 0);
        }
    }

    /// What has begun will not be whole: a failure, or a mistake that the reader sees by what is put in its place.
    fn abandon_message(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.data.truncate(begun.at);
        }
    }

    /// Adds a part of a message to the rest of it. False: the record is something else.
    fn add_part(&mut self, kind: RecordKind, payload: &[u8]) -> bool {
        let part = payload.len() as u64;
        match &mut self.begun {
            None if kind.without_compressed() == RecordKind::MESSAGE_START => {
                let Ok((total, taken)) = decode_varint(payload) else {
                    return false;
                };
                let Some(missing) = total.checked_sub(part - taken as u64) else {
                    return false;
                };
                let compressed = kind.0 & RecordKind::COMPRESSED;
                let whole = RecordKind(RecordKind::MESSAGE.0 | compressed);
                let at = self.data.len();
                self.copy(&encode_header(whole, total), missing);
                self.copy(payload.get(taken..).unwrap_or_default(), missing);
                self.begun = (missing > 0).then_some(Begun { at, missing });
                true
            }
            Some(begun)
                if kind == RecordKind::MESSAGE_PART && part > 0 && part <= begun.missing =>
            {
                begun.missing -= part;
                let missing = begun.missing;
                if missing == 0 {
                    self.begun = None;
                }
                self.copy(payload, missing);
                true
            }
            Some(_) if kind.is_skippable() => true,
            Some(_) => {
                self.abandon_message();
                if !matches!(
                    kind,
                    RecordKind::TRAILER | RecordKind::CANCEL | RecordKind::MESSAGE_PART
                ) {
                    // Nothing may come between, and nothing after it need say so.
                    self.copy(&encode_header(RecordKind::MESSAGE_PART, 0), 0);
                }
                false
            }
            None => false,
        }
    }

    /// Copies bytes, after which `missing` ones will come.
    fn copy(&mut self, bytes: &[u8], missing: u64) {
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        let held = self.data.len();
        let expected = held.saturating_add(bytes.len()).saturating_add(missing);
        // A quarter more at least: of many small records, each would have all before it copied once more.
        let expected = expected.max(held + held / 4).min(self.limit);
        make_room(&mut self.data, bytes.len(), expected);
        self.data.extend_from_slice(bytes);
    }

    /// Lets go of what was kept, and of what follows.
    pub(crate) fn refuse(&mut self) {
        self.refused = true;
        self.data = BytesMut::new();
        self.begun = None;
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Bytes kept.
    pub(crate) fn held(&self) -> usize {
        self.data.len()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// The whole message.
    pub(crate) fn finish(self) -> Bytes {
        self.data.freeze()
    }

    /// When it has taken too long.
    pub(crate) fn expires(&self, total: Duration, stall: Duration) -> Instant {
        (self.started + total).min(self.last + stall)
    }
}

/// Bounds frames that carry next to nothing: each following frame under 256 bytes that is not the last of its message
/// draws on an allowance, which larger frames refill (`docs/protocol.md`, section 11).
#[derive(Debug)]
pub(crate) struct SmallFrames {
    allowance: usize,
}

impl SmallFrames {
    /// A frame of this size costs its peer nothing.
    pub(crate) const SIZE: usize = 256;
    /// 100 empty frames.
    const FULL: usize = 100 * Self::SIZE;

    pub(crate) fn new() -> Self {
        Self {
            allowance: Self::FULL,
        }
    }

    /// Counts a frame; false if there were too many small ones.
    pub(crate) fn admit(&mut self, length: usize, following: bool, last: bool) -> bool {
        if following && !last && length < Self::SIZE {
            match self.allowance.checked_sub(Self::SIZE) {
                Some(rest) => self.allowance = rest,
                None => return false,
            }
        }
        self.allowance = (self.allowance + length).min(Self::FULL);
        true
    }
}
