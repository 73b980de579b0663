use bytes::Bytes;
use iip_core::wire::record::{RecordError, RecordKind, encode_header};
use proptest::prelude::*;

use super::message_tests::records_of;
use super::reader::Inbound;
use super::{Direction, EnvelopeError, Head, Trailer, read};
use crate::{Code, Metadata, Outcome, Status};

const LIMIT: usize = 1000;

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = encode_header(RecordKind(kind), payload.len() as u64).to_vec();
    out.extend_from_slice(payload);
    out
}

fn request(records: &[Vec<u8>]) -> Result<Inbound, EnvelopeError> {
    read(Direction::Request, Bytes::from(records.concat()), LIMIT)
}

fn response(records: &[Vec<u8>]) -> Result<Inbound, EnvelopeError> {
    read(Direction::Response, Bytes::from(records.concat()), LIMIT)
}

fn head() -> Vec<u8> {
    Head::to_record(Some(7), &Metadata::new(), None).to_vec()
}

fn failure() -> Vec<u8> {
    Trailer::failed_record(&Status::not_found("x"), false).to_vec()
}

fn message() -> Vec<u8> {
    record(2, b"m")
}

fn error(result: Result<Inbound, EnvelopeError>) -> EnvelopeError {
    result.unwrap_err()
}

#[test]
fn a_message_alone_is_a_request_and_a_response() {
    for read in [request, response] {
        let inbound = read(&[message()]).unwrap();
        assert_eq!(&inbound.message.unwrap().into_bytes()[..], b"m");
        assert_eq!(inbound.head, Head::default());
        assert!(inbound.trailer.is_none());
    }
}

#[test]
fn a_message_is_not_copied() {
    let records = Bytes::from(message());
    let inbound = read(Direction::Request, records.clone(), LIMIT).unwrap();
    assert_eq!(
        inbound.message.unwrap().into_bytes().as_ptr(),
        records[2..].as_ptr()
    );
}

#[test]
fn head_is_first_and_trailer_is_last() {
    let inbound = response(&[head(), message(), failure()]).unwrap();
    assert_eq!(inbound.head.timeout_us, Some(7));
    assert!(matches!(inbound.trailer, Some(Trailer::Failed(_))));
    let misplaced = |kind| EnvelopeError::Misplaced(kind);
    for records in [
        &[message(), head()][..],
        &[head(), head(), message()],
        &[record(0x80, b""), head(), message()],
    ] {
        assert_eq!(error(request(records)), misplaced(RecordKind::HEAD));
    }
    assert_eq!(
        error(request(&[message(), failure()])),
        misplaced(RecordKind::TRAILER)
    );
    assert_eq!(
        error(response(&[failure(), message()])),
        misplaced(RecordKind::MESSAGE)
    );
    assert_eq!(
        error(response(&[message(), failure(), record(0x80, b"")])),
        misplaced(RecordKind(0x80))
    );
}

#[test]
fn a_success_has_one_whole_message() {
    let trailer = || {
        let mut trailers = Metadata::new();
        trailers.insert("k", "v").unwrap();
        Trailer::ok_record(&trailers).to_vec()
    };
    assert_eq!(error(response(&[])), EnvelopeError::NoMessage);
    assert_eq!(error(response(&[head()])), EnvelopeError::NoMessage);
    assert_eq!(error(response(&[trailer()])), EnvelopeError::NoMessage);
    assert_eq!(error(request(&[head()])), EnvelopeError::NoMessage);
    assert_eq!(
        error(response(&[message(), message()])),
        EnvelopeError::SecondMessage
    );
    assert_eq!(
        error(response(&[record(3, b"\x02a"), record(4, b"b"), message()])),
        EnvelopeError::SecondMessage
    );
    assert_eq!(
        error(response(&[record(3, b"\x02a"), trailer()])),
        EnvelopeError::Unfinished
    );
    assert!(matches!(
        response(&[message(), trailer()]).unwrap().trailer,
        Some(Trailer::Ok(metadata)) if metadata.get("k") == Some("v")
    ));
}

#[test]
fn a_failure_needs_no_message_and_may_cut_one_off() {
    for records in [
        &[failure()][..],
        &[head(), failure()],
        &[record(3, b"\x02a"), failure()],
        &[message(), failure()],
    ] {
        let Some(Trailer::Failed(status)) = response(records).unwrap().trailer else {
            panic!("not a failure");
        };
        assert_eq!(status.to_string(), "NOT_FOUND: x");
    }
}

#[test]
fn a_request_may_be_given_up() {
    for records in [
        &[record(6, b"\x01")][..],
        &[record(3, b"\x02a"), record(6, b"\x01")],
        &[message(), record(6, b"\x01")],
    ] {
        assert_eq!(request(records).unwrap().cancelled, Some(1));
    }
    assert_eq!(
        error(request(&[record(6, b"\x01\x01")])),
        EnvelopeError::Undecodable(RecordKind::CANCEL)
    );
    assert_eq!(
        error(request(&[record(6, b"\x01"), message()])),
        EnvelopeError::Misplaced(RecordKind::MESSAGE)
    );
    assert_eq!(
        error(response(&[message(), record(6, b"\x01")])),
        EnvelopeError::Misplaced(RecordKind::CANCEL)
    );
}

#[test]
fn parts_are_counted() {
    assert_eq!(
        error(request(&[record(4, b"a")])),
        EnvelopeError::Misplaced(RecordKind::MESSAGE_PART)
    );
    assert_eq!(
        error(request(&[record(3, b"\x01ab")])),
        EnvelopeError::BadPart
    );
    assert_eq!(
        error(request(&[record(3, b"\x02a"), record(4, b"")])),
        EnvelopeError::BadPart
    );
    assert_eq!(
        error(request(&[record(3, b"\x02a"), record(4, b"bc")])),
        EnvelopeError::BadPart
    );
    assert_eq!(
        error(request(&[record(3, b"\x02a"), message()])),
        EnvelopeError::Misplaced(RecordKind::MESSAGE)
    );
    assert_eq!(
        error(request(&[record(3, b"\x01a"), record(4, b"b")])),
        EnvelopeError::Misplaced(RecordKind::MESSAGE_PART)
    );
    assert_eq!(
        error(request(&[record(3, b"\x80")])),
        EnvelopeError::Record(RecordError::VarintTruncated)
    );
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_announcement() {
    let fits = vec![0; LIMIT];
    assert!(request(&[record(2, &fits)]).is_ok());
    let large = EnvelopeError::MessageTooLarge {
        len: LIMIT as u64 + 1,
        limit: LIMIT,
    };
    assert_eq!(error(request(&[record(2, &vec![0; LIMIT + 1])])), large);
    assert_eq!(error(request(&[record(3, b"\xe9\x07")])), large);
    let status = large.in_request();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert!(status.message().contains("max_message"));
    assert_eq!(large.in_response().outcome(), Some(Outcome::Unknown));
}

#[test]
fn every_kind_has_its_rule() {
    for kind in 0..=255u8 {
        let got = request(&[message(), record(kind, b"\x00")]);
        match kind {
            1 | 4 | 5 | 16..=21 => {
                assert_eq!(error(got), EnvelopeError::Misplaced(RecordKind(kind)));
            }
            2 | 3 | 0x42 | 0x43 => assert_eq!(error(got), EnvelopeError::SecondMessage),
            6 => assert_eq!(got.unwrap().cancelled, Some(0)),
            0x80.. => assert!(got.is_ok()),
            _ => assert_eq!(error(got), EnvelopeError::UnknownKind(RecordKind(kind))),
        }
    }
}

#[test]
fn what_ends_early_is_refused() {
    let whole = [head(), message(), failure()].concat();
    let boundaries = [0, head().len(), head().len() + message().len(), whole.len()];
    for end in 0..whole.len() {
        let got = read(
            Direction::Response,
            Bytes::copy_from_slice(&whole[..end]),
            LIMIT,
        );
        assert_eq!(
            matches!(got, Err(EnvelopeError::Record(_))),
            !boundaries.contains(&end),
            "{end}"
        );
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(
        bytes: Vec<u8>,
        list in proptest::collection::vec((0u8..8, proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
    ) {
        let listed: Vec<u8> = list.iter().flat_map(|(kind, payload)| record(*kind, payload)).collect();
        for bytes in [bytes, listed] {
            for direction in [Direction::Request, Direction::Response] {
                match read(direction, Bytes::from(bytes.clone()), LIMIT) {
                    Ok(Inbound { message: Some(message), .. }) => {
                        let len = message.len();
                        prop_assert!(len <= LIMIT);
                        prop_assert_eq!(message.into_bytes().len(), len);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        prop_assert!(!error.to_string().is_empty());
                        prop_assert!(error.in_response().code() != Code::Ok);
                    }
                }
            }
        }
    }

    #[test]
    fn one_changed_byte_never_panics(
        message in proptest::collection::vec(any::<u8>(), 0..100),
        cuts in proptest::collection::vec(0usize..40, 0..6),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = records_of(&message, &cuts, true).to_vec();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(Inbound { message: Some(message), .. }) = read(Direction::Request, Bytes::from(bytes), LIMIT) {
            let len = message.len();
            prop_assert_eq!(message.into_bytes().len(), len);
        }
    }
}
