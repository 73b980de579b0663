use bytes::Bytes;
use proptest::prelude::*;

use super::record::*;

fn record(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    let mut out = encode_header(kind, payload.len() as u64).to_vec();
    out.extend_from_slice(payload);
    out
}

#[test]
fn varints_have_the_protobuf_bytes() {
    for (value, bytes) in [
        (0, &[0x00][..]),
        (1, &[0x01]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (16_384, &[0x80, 0x80, 0x01]),
        (
            u64::MAX,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
    ] {
        assert_eq!(&*encode_varint(value), bytes);
        assert_eq!(varint_len(value), bytes.len());
        assert_eq!(decode_varint(bytes), Ok((value, bytes.len())));
    }
}

#[test]
fn a_varint_that_is_too_long_is_refused() {
    assert_eq!(
        decode_varint(&[0x80, 0x00]),
        Err(RecordError::VarintNotMinimal)
    );
    assert_eq!(
        decode_varint(&[0x81, 0x80, 0x00, 0x01]),
        Err(RecordError::VarintNotMinimal)
    );
    let mut ten = [0xff; 10];
    ten[9] = 0x02;
    assert_eq!(decode_varint(&ten), Err(RecordError::VarintOverflow));
    assert_eq!(decode_varint(&[0xff; 11]), Err(RecordError::VarintOverflow));
    let mut padded = [0x80; 10];
    padded[9] = 0x00;
    assert_eq!(decode_varint(&padded), Err(RecordError::VarintNotMinimal));
}

#[test]
fn a_varint_that_ends_early_is_refused() {
    assert_eq!(decode_varint(&[]), Err(RecordError::VarintTruncated));
    assert_eq!(decode_varint(&[0x80]), Err(RecordError::VarintTruncated));
    assert_eq!(decode_varint(&[0xff; 9]), Err(RecordError::VarintTruncated));
}

#[test]
fn records_follow_each_other() {
    let mut bytes = record(RecordKind::HEAD, b"h");
    bytes.extend(record(RecordKind::MESSAGE, b""));
    bytes.extend(record(RecordKind(0x80), b"skipped"));
    let records: Vec<_> = Records::new(&bytes).collect::<Result<_, _>>().unwrap();
    assert_eq!(
        records
            .iter()
            .map(|r| (r.kind, r.offset, r.payload))
            .collect::<Vec<_>>(),
        [
            (RecordKind::HEAD, 2, &b"h"[..]),
            (RecordKind::MESSAGE, 5, b""),
            (RecordKind(0x80), 7, b"skipped"),
        ]
    );
    let mut shared = Bytes::from(bytes);
    assert_eq!(
        split_record(&mut shared),
        Ok(Some((RecordKind::HEAD, Bytes::from_static(b"h"))))
    );
    assert_eq!(
        split_record(&mut shared),
        Ok(Some((RecordKind::MESSAGE, Bytes::new())))
    );
    assert_eq!(
        split_record(&mut shared),
        Ok(Some((RecordKind(0x80), Bytes::from_static(b"skipped"))))
    );
    assert_eq!(split_record(&mut shared), Ok(None));
}

#[test]
fn a_payload_that_ends_early_is_refused_and_ends_the_iteration() {
    let bytes = [RecordKind::MESSAGE.0, 5, b'a', b'b'];
    let error = RecordError::PayloadTruncated {
        announced: 5,
        present: 2,
    };
    let mut records = Records::new(&bytes);
    assert_eq!(records.next(), Some(Err(error)));
    assert_eq!(records.next(), None);
    let mut shared = Bytes::copy_from_slice(&bytes);
    assert_eq!(split_record(&mut shared), Err(error));
    assert_eq!(shared.len(), 4);
    assert_eq!(error.to_string(), "a record announces 5 bytes and 2 follow");
}

#[test]
fn a_length_beyond_memory_is_refused() {
    let mut bytes = vec![RecordKind::MESSAGE.0];
    bytes.extend_from_slice(&encode_varint(u64::MAX));
    assert!(matches!(
        Records::new(&bytes).next(),
        Some(Err(RecordError::PayloadTruncated {
            announced: u64::MAX,
            present: 0
        }))
    ));
}

#[test]
fn kinds_say_what_they_are() {
    assert!(RecordKind(0x42).is_compressed());
    assert!(RecordKind(0x43).is_compressed());
    for kind in (0..=255).filter(|kind| ![0x42, 0x43].contains(kind)) {
        assert!(!RecordKind(kind).is_compressed(), "{kind}");
        assert_eq!(RecordKind(kind).is_skippable(), kind >= 128, "{kind}");
    }
    assert_eq!(format!("{:?}", RecordKind::TRAILER), "TRAILER");
    assert_eq!(format!("{:?}", RecordKind(99)), "record kind 99");
}

proptest! {
    #[test]
    fn varints_round_trip(value: u64, shift in 0u32..64, tail: Vec<u8>) {
        let value = value >> shift;
        let encoded = encode_varint(value);
        prop_assert_eq!(encoded.len(), varint_len(value));
        let mut bytes = encoded.to_vec();
        bytes.extend(tail);
        prop_assert_eq!(decode_varint(&bytes), Ok((value, encoded.len())));
        prop_assert_eq!(decode_varint(&encoded[..encoded.len() - 1]), Err(RecordError::VarintTruncated));
    }

    #[test]
    fn a_varint_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        if let Ok((value, taken)) = decode_varint(&bytes) {
            prop_assert_eq!(&*encode_varint(value), &bytes[..taken]);
        }
    }

    #[test]
    fn records_round_trip(list: Vec<(u8, Vec<u8>)>) {
        let bytes: Vec<u8> = list.iter().flat_map(|(kind, payload)| record(RecordKind(*kind), payload)).collect();
        let read: Vec<(u8, Vec<u8>)> = Records::new(&bytes)
            .map(|r| r.map(|r| (r.kind.0, bytes[r.offset..][..r.payload.len()].to_vec())))
            .collect::<Result<_, _>>()
            .unwrap();
        prop_assert_eq!(&read, &list);
    }

    #[test]
    fn any_bytes_are_records_or_an_error(bytes: Vec<u8>) {
        let mut taken = 0;
        let mut failed = false;
        for item in Records::new(&bytes) {
            prop_assert!(!failed);
            match item {
                Ok(r) => {
                    prop_assert!(r.offset >= taken + 2);
                    taken = r.offset + r.payload.len();
                }
                Err(_) => failed = true,
            }
        }
        prop_assert!(failed || taken == bytes.len());
        let mut shared = Bytes::from(bytes);
        while let Ok(Some(_)) = split_record(&mut shared) {}
    }
}

#[test]
fn records_name_themselves_and_what_is_wrong_with_them() {
    let names = [
        (1, "HEAD"),
        (2, "MESSAGE"),
        (3, "MESSAGE_START"),
        (4, "MESSAGE_PART"),
        (5, "TRAILER"),
        (6, "CANCEL"),
        (16, "WINDOW"),
        (17, "CANCEL"),
        (18, "PING"),
        (19, "PONG"),
        (20, "GOAWAY"),
        (21, "ACK"),
        (99, "record kind 99"),
    ];
    for (kind, name) in names {
        assert!(format!("{:?}", RecordKind(kind)).contains(name), "{kind}");
    }
    for (error, part) in [
        (RecordError::VarintTruncated, "inside a varint"),
        (RecordError::VarintNotMinimal, "longer"),
        (RecordError::VarintOverflow, "64 bits"),
        (
            RecordError::PayloadTruncated {
                announced: 7,
                present: 3,
            },
            "7 bytes and 3",
        ),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(format!("{:?}", encode_varint(300)), "[ac, 02]");
}
