use bytes::{Buf, Bytes};
use iip_core::session::MESSAGE_COST;
use iip_core::wire::record::{RecordKind, decode_header};

use super::MessageBytes;
use crate::Compression;

/// Messages of a stream that are handed on together.
#[derive(Clone, Debug)]
pub(crate) enum Batch {
    /// Whole MESSAGE records back to back, at least one, and what they cost together. Whoever makes it has checked
    /// the records.
    Records {
        /// The records.
        records: Bytes,
        /// Bytes of the messages, and [`MESSAGE_COST`] for each.
        cost: usize,
        /// Whether they are to be compressed on their way.
        compression: Compression,
    },
    /// One message, of any size, and whether it is to be compressed on its way.
    Message(MessageBytes, Compression),
}

impl Batch {
    /// What the messages cost together.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Records { cost, .. } => *cost,
            Self::Message(message, _) => message.cost(),
        }
    }

    /// Takes the first message off; the rest, if any, stays in `rest`.
    pub(crate) fn split_first(self, rest: &mut Option<Self>) -> Option<MessageBytes> {
        let (mut records, cost, compression) = match self {
            Self::Message(message, _) => return Some(message),
            Self::Records {
                records,
                cost,
                compression,
            } => (records, cost, compression),
        };
        let message = split_message(&mut records)?;
        if !records.is_empty() {
            let cost = cost.saturating_sub(message.len() + MESSAGE_COST);
            *rest = Some(Self::Records {
                records,
                cost,
                compression,
            });
        }
        Some(message)
    }
}

impl From<MessageBytes> for Batch {
    fn from(message: MessageBytes) -> Self {
        Self::Message(message, Compression::default())
    }
}

/// Splits the first MESSAGE record off `records`. `None`: they do not begin with one.
fn split_message(records: &mut Bytes) -> Option<MessageBytes> {
    let (RecordKind::MESSAGE, len, header) = decode_header(records).ok()?? else {
        return None;
    };
    let end = usize::try_from(len).ok()?.checked_add(header)?;
    if end > records.remaining() {
        return None;
    }
    Some(MessageBytes::Whole {
        record: records.split_to(end),
        header: header as u8,
    })
}
