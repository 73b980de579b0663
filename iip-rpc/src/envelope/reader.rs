use bytes::Bytes;
use iip_core::wire::record::{
    Record, RecordKind, Records, decode_header, decode_varint, header_len,
};

use super::pack::{PACKED_MESSAGE, PACKED_START, unpack};
use super::parts::Assembly;
use super::{EnvelopeError, Head, MessageBytes, Trailer};

/// Whose records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// A client's: CANCEL may be last.
    Request,
    /// A server's: TRAILER may be last.
    Response,
}

/// The records of one direction of a unary call.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    pub(crate) head: Head,
    /// The one message. Absent only where a CANCEL or the TRAILER of a failure explains it.
    pub(crate) message: Option<MessageBytes>,
    pub(crate) trailer: Option<Trailer>,
    /// The client gave the call up, for this reason.
    pub(crate) cancelled: Option<u64>,
}

struct Reader<'a> {
    records: &'a Bytes,
    direction: Direction,
    max_message: usize,
    inbound: Inbound,
    /// Only within one frame: a message of several is put together by the session.
    assembly: Option<Assembly>,
    first: bool,
    ended: bool,
    /// The message is compressed.
    packed: bool,
}

/// Reads the records of one direction of a unary call: at most one message, of at most `max_message` bytes.
/// A message in one record is not copied.
pub(crate) fn read(
    direction: Direction,
    records: Bytes,
    max_message: usize,
) -> Result<Inbound, EnvelopeError> {
    // Nearly every call is one MESSAGE and nothing else: its memory is taken over, without sharing it.
    if let Some((RecordKind::MESSAGE, len, header)) = decode_header(&records)?
        && len <= max_message as u64
        && (records.len() - header) as u64 == len
    {
        return Ok(Inbound {
            message: Some(MessageBytes::Whole {
                record: records,
                header: header as u8,
            }),
            ..Inbound::default()
        });
    }
    let mut reader = Reader {
        records: &records,
        direction,
        max_message,
        inbound: Inbound::default(),
        assembly: None,
        first: true,
        ended: false,
        packed: false,
    };
    for record in Records::new(&records) {
        reader.accept(&record?)?;
        reader.first = false;
    }
    reader.finish()
}

impl Reader<'_> {
    fn accept(&mut self, record: &Record<'_>) -> Result<(), EnvelopeError> {
        let kind = record.kind;
        if self.ended {
            return Err(EnvelopeError::Misplaced(kind));
        }
        match kind {
            RecordKind::MESSAGE | PACKED_MESSAGE => self.message(record),
            RecordKind::MESSAGE_START | PACKED_START => self.start(record),
            RecordKind::MESSAGE_PART => self.part(record),
            RecordKind::HEAD if self.first => {
                self.inbound.head = Head::decode(record.payload)?;
                Ok(())
            }
            RecordKind::TRAILER if self.direction == Direction::Response => {
                self.ended = true;
                self.inbound.trailer = Some(Trailer::decode(record.payload)?);
                Ok(())
            }
            RecordKind::CANCEL if self.direction == Direction::Request => {
                self.ended = true;
                let (reason, taken) = decode_varint(record.payload)?;
                if taken != record.payload.len() {
                    return Err(EnvelopeError::Undecodable(kind));
                }
                self.inbound.cancelled = Some(reason);
                Ok(())
            }
            RecordKind(1..=6 | 16..=21) => Err(EnvelopeError::Misplaced(kind)),
            kind if kind.is_skippable() => Ok(()),
            kind => Err(EnvelopeError::UnknownKind(kind)),
        }
    }

    fn message(&mut self, record: &Record<'_>) -> Result<(), EnvelopeError> {
        self.begin(record.payload.len() as u64, record.kind)?;
        self.packed = record.kind.is_compressed();
        let header = header_len(record.payload.len() as u64);
        let (from, to) = (record.offset - header, record.offset + record.payload.len());
        self.inbound.message = Some(MessageBytes::Whole {
            record: self.records.slice(from..to),
            header: header as u8,
        });
        Ok(())
    }

    fn start(&mut self, record: &Record<'_>) -> Result<(), EnvelopeError> {
        let (total, taken) = decode_varint(record.payload)?;
        self.begin(total, record.kind)?;
        let part = record.payload.get(taken..).unwrap_or_default();
        self.assembly = Some(Assembly::begin(record.kind, total, part)?);
        self.assemble();
        Ok(())
    }

    fn part(&mut self, record: &Record<'_>) -> Result<(), EnvelopeError> {
        let Some(assembly) = &mut self.assembly else {
            return Err(EnvelopeError::Misplaced(record.kind));
        };
        assembly.add(record.payload)?;
        self.assemble();
        Ok(())
    }

    /// Checks that a message of `len` bytes may begin here.
    fn begin(&self, len: u64, kind: RecordKind) -> Result<(), EnvelopeError> {
        if self.assembly.is_some() {
            return Err(EnvelopeError::Misplaced(kind));
        }
        if self.inbound.message.is_some() {
            return Err(EnvelopeError::SecondMessage);
        }
        if len > self.max_message as u64 {
            return Err(EnvelopeError::MessageTooLarge {
                len,
                limit: self.max_message,
            });
        }
        Ok(())
    }

    /// Takes the message under assembly over when it is complete.
    fn assemble(&mut self) {
        if let Some(assembly) = self.assembly.take_if(|assembly| assembly.is_whole()) {
            self.packed = assembly.is_packed();
            self.inbound.message = Some(assembly.finish());
        }
    }

    fn finish(mut self) -> Result<Inbound, EnvelopeError> {
        // Who gave up, or failed, owes no message.
        let excused = self.inbound.cancelled.is_some()
            || matches!(self.inbound.trailer, Some(Trailer::Failed(_)));
        if !excused && self.assembly.is_some() {
            return Err(EnvelopeError::Unfinished);
        }
        if !excused && self.inbound.message.is_none() {
            return Err(EnvelopeError::NoMessage);
        }
        if self.packed
            && let Some(message) = self.inbound.message.take()
        {
            let encoding = self.inbound.head.encoding;
            self.inbound.message = Some(unpack(message, encoding, self.max_message)?);
        }
        Ok(self.inbound)
    }
}
