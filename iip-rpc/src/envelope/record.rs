use bytes::Bytes;
use iip_core::wire::record::{RecordKind, encode_header};
use prost::Message;

use crate::codec::write;
use crate::{Metadata, MetadataError};

/// One entry of metadata on the wire.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// The entries of `metadata`.
pub(super) fn entries(metadata: &Metadata) -> Vec<Entry> {
    metadata
        .iter()
        .map(|(key, value)| Entry {
            key: key.as_str().to_owned(),
            value: value.clone().into_bytes(),
        })
        .collect()
}

/// The metadata of these entries, checked against the limits.
pub(super) fn metadata(entries: Vec<Entry>) -> Result<Metadata, MetadataError> {
    let mut metadata = Metadata::new();
    for entry in entries {
        // Values are copied out: they would keep the memory of the whole frame.
        metadata.append_wire(entry.key, Bytes::copy_from_slice(&entry.value))?;
    }
    Ok(metadata)
}

/// `message` as one record.
pub(super) fn record(kind: RecordKind, message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    let header = encode_header(kind, len as u64);
    write(header.len() + len, |buffer| {
        buffer.extend_from_slice(&header);
        message.encode(buffer)
    })
    // Encoding into memory that grows cannot fail.
    .unwrap_or_default()
}
