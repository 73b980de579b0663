use bytes::Bytes;
use prost::Message;

use super::record::Entry;
use super::{EnvelopeError, Head, Trailer};
use crate::{Code, Metadata, MetadataError, Outcome, Status};

fn payload(record: &Bytes) -> &[u8] {
    iip_core::wire::record::Records::new(record)
        .next()
        .unwrap()
        .unwrap()
        .payload
}

fn full_metadata() -> Metadata {
    let mut metadata = Metadata::new();
    for index in 0..Metadata::MAX_ENTRIES {
        metadata
            .append(format!("{index:04}-bin"), vec![0; 16 * 1024 / 64 - 8])
            .unwrap();
    }
    assert_eq!(metadata.size(), Metadata::MAX_SIZE);
    metadata
}

#[test]
fn an_empty_head_is_left_out() {
    assert!(Head::to_record(None, &Metadata::new(), None).is_empty());
    assert!(Trailer::ok_record(&Metadata::new()).is_empty());
}

#[test]
fn a_head_has_the_bytes_of_its_proto_file() {
    let mut metadata = Metadata::new();
    metadata.insert("k", "v").unwrap();
    let record = Head::to_record(Some(0), &metadata, None);
    assert_eq!(&record[..], b"\x01\x0a\x08\x00\x12\x06\x0a\x01k\x12\x01v");
    assert_eq!(
        Head::decode(payload(&record)).unwrap(),
        Head {
            timeout_us: Some(0),
            metadata,
            encoding: None
        }
    );
    let record = Head::to_record(Some(u64::MAX), &Metadata::new(), None);
    assert_eq!(
        Head::decode(payload(&record)).unwrap().timeout_us,
        Some(u64::MAX)
    );
}

#[test]
fn metadata_at_its_limits_travels() {
    let metadata = full_metadata();
    let head = Head::to_record(Some(u64::MAX - 1), &metadata, None);
    assert_eq!(Head::decode(payload(&head)).unwrap().metadata, metadata);
    let Trailer::Ok(back) = Trailer::decode(payload(&Trailer::ok_record(&metadata))).unwrap()
    else {
        panic!("not a success");
    };
    assert_eq!(back, metadata);
}

#[test]
fn the_longest_trailer_fits_one_frame() {
    let mut status = Status::data_loss("ä".repeat(5000)).with_details(vec![1; 8 * 1024]);
    *status.metadata_mut() = full_metadata();
    let record = Trailer::failed_record(&status, true);
    assert!(
        record.len() <= super::writer::MAX_RECORDS,
        "{}",
        record.len()
    );
    let Trailer::Failed(back) = Trailer::decode(payload(&record)).unwrap() else {
        panic!("not a failure");
    };
    assert_eq!(back.code(), Code::DataLoss);
    assert_eq!(back.message(), "ä".repeat(2048));
    assert_eq!(back.details(), status.details());
    assert_eq!(back.metadata(), status.metadata());
    assert_eq!(back.outcome(), Some(Outcome::NotProcessed));
}

#[test]
fn details_that_are_too_long_are_left_out() {
    let status = Status::internal("m").with_details(vec![1; 8 * 1024 + 1]);
    let record = Trailer::failed_record(&status, false);
    let Trailer::Failed(back) = Trailer::decode(payload(&record)).unwrap() else {
        panic!("not a failure");
    };
    assert!(back.details().is_empty());
    assert_eq!(back.outcome(), None);
}

#[test]
fn a_failure_never_says_ok() {
    let record = Trailer::failed_record(&Status::new(Code::Ok, "odd"), false);
    let Trailer::Failed(back) = Trailer::decode(payload(&record)).unwrap() else {
        panic!("not a failure");
    };
    assert_eq!(back.code(), Code::Unknown);
}

#[derive(Clone, PartialEq, prost::Message)]
struct Hostile {
    #[prost(message, repeated, tag = "2")]
    metadata: Vec<Entry>,
    #[prost(bytes = "bytes", tag = "100")]
    padding: Bytes,
}

fn entry(key: &str, value: &[u8]) -> Entry {
    Entry {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value),
    }
}

fn refused(metadata: Vec<Entry>) -> EnvelopeError {
    let hostile = Hostile {
        metadata,
        padding: Bytes::new(),
    };
    Head::decode(&hostile.encode_to_vec()).unwrap_err()
}

#[test]
fn metadata_of_peers_is_checked() {
    assert_eq!(
        refused(vec![entry("a\0", b"")]),
        EnvelopeError::Metadata(MetadataError::BadKeyByte { byte: 0 })
    );
    assert_eq!(
        refused(vec![entry("A", b"")]),
        EnvelopeError::Metadata(MetadataError::BadKeyByte { byte: b'A' })
    );
    assert_eq!(
        refused(vec![entry("a", b"\r\n")]),
        EnvelopeError::Metadata(MetadataError::BadValueByte { byte: b'\r' })
    );
    assert_eq!(
        refused(vec![entry("a", b""); 65]),
        EnvelopeError::Metadata(MetadataError::TooManyEntries)
    );
    assert_eq!(
        refused(vec![entry("a-bin", &[0; 8000]); 3]),
        EnvelopeError::TooLong(iip_core::wire::record::RecordKind::HEAD)
    );
    assert!(matches!(
        refused(vec![entry("a-bin", &[0; 5800]); 3]),
        EnvelopeError::Metadata(MetadataError::TooLarge { .. })
    ));
}

#[test]
fn fields_of_later_versions_are_skipped() {
    let later = Hostile {
        metadata: vec![entry("k", b"v")],
        padding: Bytes::from_static(&[0; 100]),
    };
    let head = Head::decode(&later.encode_to_vec()).unwrap();
    assert_eq!(head.metadata.get("k"), Some("v"));
}
