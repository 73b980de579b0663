//! Messages of which no two are the same, and their records.

use std::sync::LazyLock;

use bytes::Bytes;
use fastrand::Rng;
use iip_core::session::{Chunk, MESSAGE_COST, PIECE};
use iip_core::wire::record::{RecordKind, Records, decode_varint, encode_header, encode_varint};

/// Codes in trailers.
pub(super) const OK: u8 = 0;
pub(super) const CANCELLED: u8 = 1;
pub(super) const DEADLINE_EXCEEDED: u8 = 4;
pub(super) const NOT_FOUND: u8 = 5;
pub(super) const UNAVAILABLE: u8 = 14;

const LARGEST: usize = 256 * 1024;

static FILLER: LazyLock<Bytes> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(7);
    (0..LARGEST + 1024).map(|_| rng.u8(..)).collect()
});

/// Which message it is: everything that tells it from every other of the same world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) attempt: usize,
    pub(super) response: bool,
    pub(super) index: usize,
}

impl Name {
    fn bytes(self) -> [u8; 8] {
        let [a, b, c, d] = (self.attempt as u32).to_be_bytes();
        let [e, f] = (self.index as u16).to_be_bytes();
        [a, b, c, d, u8::from(self.response), e, f, 0x5a]
    }

    fn filler(self, length: usize) -> &'static [u8] {
        let from = (self.attempt * 31 + self.index * 7 + usize::from(self.response)) % 1024;
        &FILLER[from..from + length]
    }

    /// A message of so many bytes.
    pub(super) fn message(self, length: usize) -> Vec<u8> {
        let name = self.bytes();
        let name = &name[..length.min(8)];
        [name, self.filler(length - name.len())].concat()
    }

    /// Whether it is this message, whole.
    pub(super) fn is(self, data: &[u8], length: usize) -> bool {
        let name = self.bytes();
        let name = &name[..length.min(8)];
        data.len() == length
            && data.starts_with(name)
            && &data[name.len()..] == self.filler(length - name.len())
    }
}

/// HEAD, by which each side learns whose call it is.
pub(super) fn head(attempt: usize) -> Vec<u8> {
    let id = (attempt as u32).to_be_bytes();
    [&encode_header(RecordKind::HEAD, 4)[..], &id].concat()
}

/// TRAILER: a code and whether the handler never saw the call.
pub(super) fn trailer(code: u8, not_processed: bool) -> Vec<u8> {
    let header = encode_header(RecordKind::TRAILER, 2);
    [&header[..], &[code, u8::from(not_processed)]].concat()
}

/// A message as records, each in a piece that may be a frame by itself.
pub(super) fn pieces(message: &[u8]) -> Vec<Vec<u8>> {
    if message.len() + MESSAGE_COST <= PIECE {
        let header = encode_header(RecordKind::MESSAGE, message.len() as u64);
        return vec![[&header[..], message].concat()];
    }
    let (first, mut rest) = message.split_at(PIECE - MESSAGE_COST);
    let total = encode_varint(message.len() as u64);
    let header = encode_header(
        RecordKind::MESSAGE_START,
        (total.len() + first.len()) as u64,
    );
    let mut pieces = vec![[&header[..], &total, first].concat()];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(PIECE));
        let header = encode_header(RecordKind::MESSAGE_PART, piece.len() as u64);
        pieces.push([&header[..], piece].concat());
        rest = after;
    }
    pieces
}

pub(super) fn chunk(records: Vec<u8>) -> Chunk {
    Chunk::new(&[], records.into())
}

/// What a side has read of one direction of a call.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The attempt that HEAD names.
    pub(super) head: Option<usize>,
    /// Length of the message that has begun, and what there is of it.
    partial: Option<(usize, Vec<u8>)>,
    pub(super) messages: Vec<Vec<u8>>,
    /// Code, and whether it was not processed.
    pub(super) trailer: Option<(u8, bool)>,
}

impl Reader {
    /// Takes the records of a frame. False: they are none.
    pub(super) fn take(&mut self, records: &[u8]) -> bool {
        Records::new(records).all(|record| record.is_ok_and(|record| self.record(record)))
    }

    fn record(&mut self, record: iip_core::wire::record::Record<'_>) -> bool {
        let data = record.payload;
        match record.kind {
            RecordKind::HEAD => {
                let id: Option<[u8; 4]> = data.try_into().ok();
                self.head = id.map(|id| u32::from_be_bytes(id) as usize);
                id.is_some()
            }
            RecordKind::MESSAGE => {
                self.messages.push(data.to_vec());
                self.partial.is_none()
            }
            RecordKind::MESSAGE_START => match decode_varint(data) {
                Ok((total, taken)) => self
                    .partial
                    .replace((total as usize, data[taken..].to_vec()))
                    .is_none(),
                Err(_) => false,
            },
            RecordKind::MESSAGE_PART => {
                let Some((total, mut begun)) = self.partial.take() else {
                    return false;
                };
                begun.extend_from_slice(data);
                if begun.len() >= total {
                    self.messages.push(begun);
                } else {
                    self.partial = Some((total, begun));
                }
                true
            }
            RecordKind::TRAILER => {
                self.trailer = data.first().map(|code| (*code, data.get(1) == Some(&1)));
                self.trailer.is_some()
            }
            _ => false,
        }
    }

    /// Whether a message was begun and not finished.
    pub(super) fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes of messages that are not whole.
    pub(super) fn partial(&self) -> usize {
        self.partial.as_ref().map_or(0, |(_, begun)| begun.len())
    }
}
