use std::borrow::Cow;

use bytes::Bytes;
use iip_core::wire::record::RecordKind;
use prost::Message;

use super::EnvelopeError;
use super::record::{Entry, entries, metadata, record};
use crate::{Code, Metadata, Outcome, Status};

/// Longest message of a status that is sent, bytes; what is longer is cut. With metadata and details at their
/// limits the record still fits one frame, which it must.
const MAX_MESSAGE: usize = 4 * 1024;

/// Longest details of a status that are sent, bytes; longer ones are left out, since half of them would be garbage.
const MAX_DETAILS: usize = 8 * 1024;

/// Longest TRAILER accepted, bytes.
const MAX_LEN: usize = 32 * 1024;

/// `iip.rpc.v1.Trailer` on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bytes = "bytes", tag = "3")]
    details: Bytes,
    #[prost(message, repeated, tag = "4")]
    metadata: Vec<Entry>,
    #[prost(bool, tag = "5")]
    not_processed: bool,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(crate) enum Trailer {
    /// The method succeeded.
    Ok(Metadata),
    /// It failed.
    Failed(Status),
}

impl Trailer {
    /// The record that ends a success; empty when there is nothing to say.
    pub(crate) fn ok_record(trailers: &Metadata) -> Bytes {
        if trailers.is_empty() {
            return Bytes::new();
        }
        let wire = Wire {
            metadata: entries(trailers),
            ..Wire::default()
        };
        record(RecordKind::TRAILER, &wire)
    }

    /// The record that says why a call failed. `not_processed`: the method was not run.
    pub(crate) fn failed_record(status: &Status, not_processed: bool) -> Bytes {
        let code = match status.code() {
            // An error that says OK would be taken for a success without a message.
            Code::Ok => Code::Unknown,
            code => code,
        };
        let details = status.details();
        let wire = Wire {
            code: code.as_i32(),
            message: cut(status.message()).to_owned(),
            details: if details.len() <= MAX_DETAILS {
                details.as_bytes().clone()
            } else {
                Bytes::new()
            },
            metadata: entries(status.metadata()),
            not_processed,
        };
        record(RecordKind::TRAILER, &wire)
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, EnvelopeError> {
        if payload.len() > MAX_LEN {
            return Err(EnvelopeError::TooLong(RecordKind::TRAILER));
        }
        let wire =
            Wire::decode(payload).map_err(|_| EnvelopeError::Undecodable(RecordKind::TRAILER))?;
        let metadata = metadata(wire.metadata)?;
        if wire.code == Code::Ok.as_i32() {
            return Ok(Self::Ok(metadata));
        }
        let mut status = Status::new(Code::from_i32(wire.code), Cow::Owned(wire.message))
            .with_details(Bytes::copy_from_slice(&wire.details));
        *status.metadata_mut() = metadata;
        if wire.not_processed {
            status = status.with_outcome(Outcome::NotProcessed);
        }
        Ok(Self::Failed(status))
    }
}

/// At most [`MAX_MESSAGE`] bytes of `text`, ending between two characters.
fn cut(text: &str) -> &str {
    let end = (0..=MAX_MESSAGE.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
