//! Bytes to frames, paths, records and JSON: nothing panics, and every way to the same bytes has the same result.

use bytes::{Bytes, BytesMut};
use iip_core::session::ErrorReply;
use iip_core::session::json::Value;
use iip_core::wire::record::{self, Records, split_record};
use iip_core::wire::{Decoded, Decoder, Frame, Path, WireError, encode_frame};

/// One run.
pub(crate) fn run(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else {
        return;
    };
    let max_data = [16, 1024, 65_536, 16 * 1024 * 1024][usize::from(first & 3)];
    let step = usize::from(first >> 2) + 1;
    let (frames, end) = decode(stream, max_data, stream.len().max(1));
    let (pieces, end_of_pieces) = decode(stream, max_data, step);
    assert_eq!(frames, pieces);
    assert_eq!(end, end_of_pieces);

    let mut encoded = Vec::new();
    for frame in frames {
        check_path(&frame);
        let data = frame.clone().into_data();
        check_records(&data);
        check_json(&data);
        let before = encoded.len();
        match std::str::from_utf8(frame.path()) {
            Ok(path) => assert!(encode_frame(
                &mut encoded,
                frame.kind(),
                path,
                frame.channel(),
                &data
            )),
            Err(_) => encoded.resize(before + frame.header().encoded_length() + data.len(), 0),
        }
        let original = &stream[before..encoded.len()];
        assert!(encoded[before..] == *original || std::str::from_utf8(frame.path()).is_err());
    }
    check_records(stream);
    check_json(stream);
}

fn decode(
    stream: &[u8],
    max_data: u32,
    step: usize,
) -> (Vec<Frame>, Option<Result<(), WireError>>) {
    let mut decoder = Decoder::new(max_data);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in stream.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Frame(frame)) => frames.push(frame),
                Ok(Decoded::Incomplete) => break,
                Ok(Decoded::Close) => return (frames, Some(Ok(()))),
                Err(error) => return (frames, Some(Err(error))),
            }
        }
    }
    (frames, None)
}

fn check_path(frame: &Frame) {
    let Ok(path) = Path::from_wire(frame.path_bytes()) else {
        return;
    };
    assert_eq!(path.as_str().as_bytes(), frame.path());
    assert_eq!(Path::new(path.as_str()).as_ref(), Ok(&path));
    assert_eq!(path.without_query().as_str(), path.path());
    for (name, value) in path.query_pairs() {
        assert!(!name.contains(char::is_control) || !name.is_ascii());
        assert!(!value.contains('\0'));
    }
}

fn check_records(data: &[u8]) {
    let mut shared = Bytes::copy_from_slice(data);
    let mut encoded = Vec::new();
    for found in Records::new(data) {
        let split = split_record(&mut shared);
        match found {
            Ok(found) => {
                let Ok(Some((kind, payload))) = split else {
                    panic!("one reader finds a record, the other {split:?}");
                };
                assert_eq!((kind, &payload[..]), (found.kind, found.payload));
                encoded.extend_from_slice(&record::encode_header(kind, payload.len() as u64));
                encoded.extend_from_slice(&payload);
            }
            Err(error) => assert_eq!(split.err(), Some(error)),
        }
    }
    assert_eq!(encoded, data[..encoded.len()]);
}

fn check_json(data: &[u8]) {
    let _ = Value::parse(data);
    if let Some(reply) = ErrorReply::parse(data) {
        assert_ne!(reply.code, 0);
        let again = ErrorReply::parse(reply.to_json().as_bytes());
        assert_eq!(again, Some(reply));
    }
}
