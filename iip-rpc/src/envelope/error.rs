use std::fmt;

use iip_core::wire::record::{RecordError, RecordKind};

use crate::compression::CompressionError;
use crate::{Code, MetadataError, Outcome, Status};

/// Why the records of one direction of a call cannot be used. It fails that call and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EnvelopeError {
    /// The bytes are not records.
    Record(RecordError),
    /// A kind that is unknown and must not be skipped.
    UnknownKind(RecordKind),
    /// A known kind where it must not be.
    Misplaced(RecordKind),
    /// A message is compressed, and HEAD names no encoding that is known here.
    Compressed,
    /// A compressed message cannot be decompressed.
    Compression(CompressionError),
    /// HEAD or TRAILER is longer than its limits allow.
    TooLong(RecordKind),
    /// HEAD or TRAILER is no such protobuf message.
    Undecodable(RecordKind),
    /// Metadata breaks a limit.
    Metadata(MetadataError),
    /// Parts of a message hold more than the message's length, or nothing.
    BadPart,
    /// A message is larger than the receiver accepts.
    MessageTooLarge {
        /// Its length, bytes.
        len: u64,
        /// The limit, bytes.
        limit: usize,
    },
    /// There is no message where there must be one.
    NoMessage,
    /// The message ends before its announced length.
    Unfinished,
    /// There is more than the one message allowed.
    SecondMessage,
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::UnknownKind(kind) => write!(f, "{kind:?} is not known"),
            Self::Misplaced(kind) => write!(f, "{kind:?} stands where it must not"),
            Self::Compressed => f.write_str(
                "a message is compressed, and HEAD names no encoding that is known here",
            ),
            Self::Compression(error) => error.fmt(f),
            Self::TooLong(kind) => write!(f, "{kind:?} is longer than allowed"),
            Self::Undecodable(kind) => write!(f, "{kind:?} is not the protobuf message it must be"),
            Self::Metadata(error) => error.fmt(f),
            Self::BadPart => f.write_str(
                "a part of a message is empty, or goes beyond the message's announced length",
            ),
            Self::MessageTooLarge { len, limit } => write!(
                f,
                "the message has {len} bytes and the receiver accepts {limit} (settings: max_message, and the method's max_request and max_response)"
            ),
            Self::NoMessage => f.write_str("there is no message"),
            Self::Unfinished => f.write_str("the message ends before its announced length"),
            Self::SecondMessage => f.write_str("there is more than one message"),
        }
    }
}

impl std::error::Error for EnvelopeError {}

impl From<RecordError> for EnvelopeError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<CompressionError> for EnvelopeError {
    fn from(error: CompressionError) -> Self {
        Self::Compression(error)
    }
}

impl From<MetadataError> for EnvelopeError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}

impl EnvelopeError {
    fn code(&self) -> Code {
        match self {
            Self::MessageTooLarge { .. }
            | Self::Compression(CompressionError::TooLarge { .. } | CompressionError::Bomb) => {
                Code::ResourceExhausted
            }
            Self::Compression(CompressionError::Unsupported { .. }) => Code::Unimplemented,
            _ => Code::Internal,
        }
    }

    /// What a server answers to a request it cannot read: it did not run it.
    pub(crate) fn in_request(&self) -> Status {
        Status::new(
            self.code(),
            format!("the request's envelope cannot be read: {self}"),
        )
        .with_outcome(Outcome::NotProcessed)
    }

    /// What a caller gets for a response it cannot read: the method may have run.
    pub(crate) fn in_response(&self) -> Status {
        Status::new(
            self.code(),
            format!("the response's envelope cannot be read: {self}"),
        )
        .with_phase("response")
        .with_outcome(Outcome::Unknown)
    }
}
