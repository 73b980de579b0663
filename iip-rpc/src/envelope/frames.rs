use bytes::{Buf, Bytes};
use iip_core::session::MESSAGE_COST;
use iip_core::wire::record::{RecordError, RecordKind, decode_header, decode_varint};

use super::pack::{PACKED_MESSAGE, PACKED_START, unpack};
use super::parts::Assembly;
use super::{Batch, Direction, EnvelopeError, Head, MessageBytes, Trailer};
use crate::{Compression, Encoding};

/// Reads the records of one direction of a streaming call, frame by frame.
#[derive(Debug)]
pub(crate) struct FrameReader {
    direction: Direction,
    max_message: usize,
    /// What is left of the frame being read.
    frame: Bytes,
    /// No record was read yet.
    first: bool,
    assembly: Option<Assembly>,
    /// How messages that say so are compressed.
    encoding: Option<Encoding>,
    /// The record came that must be the last.
    ended: bool,
}

/// What a frame holds.
#[derive(Debug)]
pub(crate) enum Item {
    /// Messages.
    Batch(Batch),
    /// The first record: metadata and, in a request, the timeout.
    Head(Head),
    /// How the call ended; nothing follows.
    Trailer(Trailer),
    /// The client has given the call up; nothing follows.
    Cancelled,
}

impl FrameReader {
    /// Accepts messages of at most `max_message` bytes.
    pub(crate) fn new(direction: Direction, max_message: usize) -> Self {
        Self {
            direction,
            max_message,
            frame: Bytes::new(),
            first: true,
            assembly: None,
            encoding: None,
            ended: false,
        }
    }

    /// Gives the next frame's records, when [`next`](Self::next) has used up the one before.
    pub(crate) fn push(&mut self, frame: Bytes) {
        debug_assert!(self.frame.is_empty());
        self.frame = frame;
    }

    /// What comes next in the frame; `None` when the frame is used up.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, EnvelopeError> {
        loop {
            let Some((kind, len, header)) = decode_header(&self.frame)? else {
                return Ok(None);
            };
            let present = self.frame.len() - header;
            let Some(len) = usize::try_from(len).ok().filter(|len| *len <= present) else {
                return Err(EnvelopeError::Record(RecordError::PayloadTruncated {
                    announced: len,
                    present,
                }));
            };
            if self.ended {
                return Err(EnvelopeError::Misplaced(kind));
            }
            let first = std::mem::replace(&mut self.first, false);
            if kind == RecordKind::MESSAGE {
                return self.messages(len).map(|batch| Some(Item::Batch(batch)));
            }
            self.frame.advance(header);
            let payload = self.frame.split_to(len);
            let item = match kind {
                RecordKind::MESSAGE_START | PACKED_START => self.start(payload, kind)?,
                PACKED_MESSAGE => Some(self.packed(payload)?),
                RecordKind::MESSAGE_PART => self.part(payload)?,
                RecordKind::HEAD if first => {
                    let head = Head::decode(&payload)?;
                    self.encoding = head.encoding;
                    Some(Item::Head(head))
                }
                RecordKind::TRAILER if self.direction == Direction::Response => {
                    self.ended = true;
                    Some(Item::Trailer(self.trailer(&payload)?))
                }
                RecordKind::CANCEL if self.direction == Direction::Request => {
                    self.ended = true;
                    Some(Item::Cancelled)
                }
                RecordKind(1..=6 | 16..=21) => return Err(EnvelopeError::Misplaced(kind)),
                kind if kind.is_skippable() => None,
                kind => return Err(EnvelopeError::UnknownKind(kind)),
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// The direction is complete.
    pub(crate) fn finish(&self) -> Result<(), EnvelopeError> {
        if self.assembly.is_some() && !self.ended {
            return Err(EnvelopeError::Unfinished);
        }
        Ok(())
    }

    /// As many whole messages as follow each other, of which the first has `len` bytes.
    fn messages(&mut self, len: usize) -> Result<Batch, EnvelopeError> {
        if self.assembly.is_some() {
            return Err(EnvelopeError::Misplaced(RecordKind::MESSAGE));
        }
        self.check(len as u64)?;
        let (mut end, mut cost) = (0, 0);
        while let Ok(Some((RecordKind::MESSAGE, len, header))) =
            decode_header(self.frame.get(end..).unwrap_or_default())
            && len <= self.max_message as u64
            && len <= (self.frame.len() - end - header) as u64
        {
            end += header + len as usize;
            cost += len as usize + MESSAGE_COST;
        }
        let records = if end == self.frame.len() {
            std::mem::take(&mut self.frame)
        } else {
            self.frame.split_to(end)
        };
        Ok(Batch::Records {
            records,
            cost,
            compression: Compression::default(),
        })
    }

    fn check(&self, len: u64) -> Result<(), EnvelopeError> {
        if len > self.max_message as u64 {
            return Err(EnvelopeError::MessageTooLarge {
                len,
                limit: self.max_message,
            });
        }
        Ok(())
    }

    /// A whole message that is compressed.
    fn packed(&mut self, payload: Bytes) -> Result<Item, EnvelopeError> {
        if self.assembly.is_some() {
            return Err(EnvelopeError::Misplaced(PACKED_MESSAGE));
        }
        self.check(payload.len() as u64)?;
        self.unpack(MessageBytes::bare(payload))
    }

    fn unpack(&self, message: MessageBytes) -> Result<Item, EnvelopeError> {
        let message = unpack(message, self.encoding, self.max_message)?;
        Ok(Item::Batch(Batch::from(message)))
    }

    fn start(
        &mut self,
        mut payload: Bytes,
        kind: RecordKind,
    ) -> Result<Option<Item>, EnvelopeError> {
        if self.assembly.is_some() {
            return Err(EnvelopeError::Misplaced(kind));
        }
        let (total, taken) = decode_varint(&payload)?;
        self.check(total)?;
        payload.advance(taken);
        self.assembly = Some(Assembly::begin(kind, total, &payload)?);
        self.whole()
    }

    fn part(&mut self, payload: Bytes) -> Result<Option<Item>, EnvelopeError> {
        let Some(assembly) = &mut self.assembly else {
            return Err(EnvelopeError::Misplaced(RecordKind::MESSAGE_PART));
        };
        assembly.add(&payload)?;
        self.whole()
    }

    /// The message under assembly, if nothing is missing.
    fn whole(&mut self) -> Result<Option<Item>, EnvelopeError> {
        let Some(assembly) = self.assembly.take_if(|assembly| assembly.is_whole()) else {
            return Ok(None);
        };
        let packed = assembly.is_packed();
        let message = assembly.finish();
        if packed {
            return self.unpack(message).map(Some);
        }
        Ok(Some(Item::Batch(Batch::from(message))))
    }

    fn trailer(&self, payload: &[u8]) -> Result<Trailer, EnvelopeError> {
        let trailer = Trailer::decode(payload)?;
        // Who failed owes no rest of a message.
        if self.assembly.is_some() && matches!(trailer, Trailer::Ok(_)) {
            return Err(EnvelopeError::Unfinished);
        }
        Ok(trailer)
    }
}
