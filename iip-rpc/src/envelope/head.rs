use bytes::Bytes;
use iip_core::wire::record::RecordKind;
use prost::Message;

use super::EnvelopeError;
use super::record::{Entry, entries, metadata, record};
use crate::{Encoding, Metadata};

/// Longest HEAD accepted, bytes: metadata at its limits with the protobuf framing of every entry, and some room for
/// fields of later versions.
const MAX_LEN: usize = Metadata::MAX_SIZE + 64 * 16 + 1024;

/// `iip.rpc.v1.Head` on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(uint64, optional, tag = "1")]
    timeout_us: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metadata: Vec<Entry>,
    #[prost(string, tag = "3")]
    encoding: String,
}

/// What stands before the first message of a direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    /// What remains of the deadline, in microseconds; absent: the server's default.
    pub(crate) timeout_us: Option<u64>,
    pub(crate) metadata: Metadata,
    /// How messages that say so are compressed; absent also where the name is not known here.
    pub(crate) encoding: Option<Encoding>,
}

impl Head {
    /// The record; empty when there is nothing to say.
    pub(crate) fn to_record(
        timeout_us: Option<u64>,
        metadata: &Metadata,
        encoding: Option<Encoding>,
    ) -> Bytes {
        if timeout_us.is_none() && metadata.is_empty() && encoding.is_none() {
            return Bytes::new();
        }
        let wire = Wire {
            timeout_us,
            metadata: entries(metadata),
            encoding: encoding.map_or_else(String::new, |encoding| encoding.name().to_owned()),
        };
        record(RecordKind::HEAD, &wire)
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, EnvelopeError> {
        if payload.len() > MAX_LEN {
            return Err(EnvelopeError::TooLong(RecordKind::HEAD));
        }
        let wire =
            Wire::decode(payload).map_err(|_| EnvelopeError::Undecodable(RecordKind::HEAD))?;
        Ok(Self {
            timeout_us: wire.timeout_us,
            metadata: metadata(wire.metadata)?,
            encoding: Encoding::from_name(&wire.encoding),
        })
    }
}
