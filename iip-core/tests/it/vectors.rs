//! The test vectors of `docs/vectors`, and those in `docs/protocol.md`.

use std::collections::HashMap;
use std::fs;
use std::path::Path as FilePath;

use bytes::{Bytes, BytesMut};
use iip_core::session::MessageState;
use iip_core::wire::record::{self, RecordError, Records};
use iip_core::wire::{
    ChannelId, Decoded, Decoder, FrameKind, MAX_DATA, Path, PathError, WireError, encode_frame,
};

/// One line of a file of vectors.
struct Vector {
    what: String,
    name: String,
    fields: HashMap<String, String>,
}

impl Vector {
    fn read(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (what, name) = (word(), word());
        let fields = words
            .map(|word| {
                let (key, value) = word.split_once('=').expect("a field is key=value");
                (key.to_owned(), value.to_owned())
            })
            .collect();
        Self { what, name, fields }
    }

    fn field(&self, key: &str) -> &str {
        self.fields
            .get(key)
            .unwrap_or_else(|| panic!("{}: there is no {key}", self.name))
    }

    fn number(&self, key: &str) -> u64 {
        self.field(key).parse().expect("a number")
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        bytes(self.field(key))
    }
}

/// Reads a byte string: `01+2f+61*2047`.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in text.split('+').filter(|part| *part != "-") {
        let (digits, times) = part.split_once('*').unwrap_or((part, "1"));
        let piece: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        out.extend(piece.repeat(times.parse().expect("a count")));
    }
    out
}

fn docs(file: &str) -> String {
    let path = FilePath::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every vector of this kind in a file.
fn vectors(file: &str, what: &str) -> Vec<Vector> {
    let text = docs(&format!("vectors/{file}"));
    let found: Vec<Vector> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Vector::read)
        .filter(|vector| vector.what == what)
        .collect();
    assert!(!found.is_empty(), "{file} has no {what}");
    found
}

/// The vectors in the text of the protocol.
fn vectors_in_text() -> Vec<Vector> {
    let text = docs("protocol.md");
    let blocks = text.split("```vectors\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .map(Vector::read)
        .collect()
}

/// Feeds bytes in steps; what comes out first, and after how many bytes.
fn decode(bytes: &[u8], step: usize, limit: u32) -> (usize, Result<Decoded, WireError>) {
    let mut decoder = Decoder::new(limit);
    let mut buffer = BytesMut::new();
    let mut fed = 0;
    for piece in bytes.chunks(step) {
        fed += piece.len();
        buffer.extend_from_slice(piece);
        match decoder.decode(&mut buffer) {
            Ok(Decoded::Incomplete) => {}
            other => return (fed, other),
        }
    }
    (fed, decoder.decode(&mut buffer))
}

fn check_frame(vector: &Vector) {
    let name = &vector.name;
    let kind = u8::try_from(vector.number("kind")).ok();
    let kind = kind.and_then(FrameKind::from_u8).expect("a kind");
    let channel = ChannelId(u32::try_from(vector.number("channel")).expect("a channel"));
    let (path, data, wire) = (
        vector.field("path"),
        vector.bytes("data"),
        vector.bytes("bytes"),
    );
    let from_client = vector.field("from") == "client";
    assert_eq!(kind.is_request(), from_client, "{name}");
    let mut encoded = Vec::new();
    assert!(
        encode_frame(&mut encoded, kind, path, channel, &data),
        "{name}"
    );
    assert_eq!(encoded, wire, "{name}");
    for step in [1, 2, 7, wire.len()] {
        let (fed, decoded) = decode(&wire, step, MAX_DATA);
        let Ok(Decoded::Frame(frame)) = decoded else {
            panic!("{name}: {decoded:?}");
        };
        assert_eq!(fed, wire.len(), "{name}");
        assert_eq!((frame.kind(), frame.channel()), (kind, channel), "{name}");
        assert_eq!(frame.path(), path.as_bytes(), "{name}");
        assert_eq!(frame.into_data(), data, "{name}");
    }
}

#[test]
fn frames() {
    for vector in vectors("frames.txt", "frame") {
        check_frame(&vector);
    }
}

#[test]
fn the_vectors_of_the_text_are_those_of_the_files() {
    let in_text = vectors_in_text();
    assert!(in_text.len() >= 10);
    let files = [
        vectors("frames.txt", "frame"),
        vectors("frames.txt", "close"),
    ];
    for vector in in_text {
        let same = files
            .iter()
            .flatten()
            .any(|other| (&other.name, &other.fields) == (&vector.name, &vector.fields));
        assert!(same, "{} differs", vector.name);
    }
}

#[test]
fn frames_that_are_not_complete() {
    for vector in vectors("frames.txt", "partial") {
        let wire = vector.bytes("bytes");
        for step in [1, wire.len().max(1)] {
            let (_, decoded) = decode(&wire, step, MAX_DATA);
            assert_eq!(decoded, Ok(Decoded::Incomplete), "{}", vector.name);
        }
    }
}

#[test]
fn kind_8_acts_at_its_first_byte() {
    for vector in vectors("frames.txt", "close") {
        let decoded = decode(&vector.bytes("bytes"), 1, MAX_DATA);
        assert_eq!(decoded, (1, Ok(Decoded::Close)), "{}", vector.name);
    }
}

#[test]
fn what_is_no_frame() {
    for vector in vectors("frames.txt", "bad-frame") {
        let wire = vector.bytes("bytes");
        let limit = u32::try_from(vector.number("limit")).expect("a limit");
        let after = usize::try_from(vector.number("after")).expect("a place");
        let (fed, decoded) = decode(&wire, 1, limit);
        let error = decoded.expect_err(&vector.name);
        assert_eq!(fed, after, "{}", vector.name);
        let same = match vector.field("error") {
            "UnknownKind" => matches!(error, WireError::UnknownKind(kind) if kind == wire[0]),
            "EmptyPath" => error == WireError::EmptyPath,
            "PathTooLong" => error == WireError::PathTooLong,
            "EmptyData" => error == WireError::EmptyData,
            "DataTooLong" => matches!(error, WireError::DataTooLong { limit: l, .. } if l == limit),
            other => panic!("{other} is no error"),
        };
        assert!(same, "{}: {error:?}", vector.name);
        assert_eq!(
            decode(&wire, wire.len(), limit).1,
            Err(error),
            "{}",
            vector.name
        );
    }
}

#[test]
fn paths() {
    for vector in vectors("paths.txt", "path") {
        let text = vector.bytes("text");
        let found = Path::from_wire(Bytes::from(text.clone()));
        let result = match &found {
            Ok(path) => {
                assert_eq!(path.as_str().as_bytes(), text, "{}", vector.name);
                "ok"
            }
            Err(PathError::NoLeadingSlash) => "NoLeadingSlash",
            Err(PathError::TooLong) => "TooLong",
            Err(PathError::BadSegment) => "BadSegment",
            Err(PathError::BadByte(_)) => "BadByte",
            Err(PathError::BadEscape) => "BadEscape",
            Err(other) => panic!("{}: {other:?}", vector.name),
        };
        assert_eq!(result, vector.field("result"), "{}", vector.name);
        if let Ok(text) = std::str::from_utf8(&text) {
            assert_eq!(Path::new(text), found, "{}", vector.name);
        }
    }
}

fn error_name(error: RecordError) -> &'static str {
    match error {
        RecordError::VarintTruncated => "VarintTruncated",
        RecordError::VarintNotMinimal => "VarintNotMinimal",
        RecordError::VarintOverflow => "VarintOverflow",
        RecordError::PayloadTruncated { .. } => "PayloadTruncated",
        _ => "another error",
    }
}

#[test]
fn varints() {
    for vector in vectors("records.txt", "varint") {
        let (value, wire) = (vector.number("value"), vector.bytes("bytes"));
        assert_eq!(*record::encode_varint(value), *wire, "{}", vector.name);
        assert_eq!(
            record::decode_varint(&wire),
            Ok((value, wire.len())),
            "{}",
            vector.name
        );
        for length in 0..wire.len() {
            let cut = record::decode_varint(&wire[..length]);
            assert_eq!(cut, Err(RecordError::VarintTruncated), "{}", vector.name);
        }
    }
    for vector in vectors("records.txt", "bad-varint") {
        let error = record::decode_varint(&vector.bytes("bytes")).expect_err(&vector.name);
        assert_eq!(error_name(error), vector.field("error"), "{}", vector.name);
    }
}

/// The field `list`: kinds and payloads.
fn list(vector: &Vector) -> Vec<(u8, Vec<u8>)> {
    let items = vector.field("list").split(';').filter(|item| *item != "-");
    items
        .map(|item| {
            let (kind, payload) = item.split_once(':').expect("KIND:BYTES");
            (kind.parse().expect("a kind"), bytes(payload))
        })
        .collect()
}

fn check_records(vector: &Vector, wire: &[u8]) {
    let mut encoded = Vec::new();
    for (kind, payload) in list(vector) {
        let length = payload.len() as u64;
        encoded.extend_from_slice(&record::encode_header(record::RecordKind(kind), length));
        encoded.extend_from_slice(&payload);
    }
    assert_eq!(encoded, wire, "{}", vector.name);
    let found: Vec<_> = Records::new(wire)
        .map(|record| record.map(|record| (record.kind.0, record.payload.to_vec())))
        .collect::<Result<_, _>>()
        .expect(&vector.name);
    assert_eq!(found, list(vector), "{}", vector.name);
}

#[test]
fn records() {
    for vector in vectors("records.txt", "records") {
        check_records(&vector, &vector.bytes("bytes"));
    }
    for vector in vectors("records.txt", "bad-records") {
        let wire = vector.bytes("bytes");
        let error = Records::new(&wire).find_map(Result::err);
        let error = error.expect(&vector.name);
        assert_eq!(error_name(error), vector.field("error"), "{}", vector.name);
    }
}

#[test]
fn envelopes() {
    for vector in vectors("records.txt", "envelope") {
        let wire = vector.bytes("bytes");
        let flags = if vector.field("from") == "server" {
            0x80
        } else {
            0
        };
        let [high, low] = u16::try_from(vector.number("seq"))
            .expect("16 bits")
            .to_be_bytes();
        let (prefix, records) = wire.split_at(4);
        assert_eq!(prefix, [0x0f, flags, high, low], "{}", vector.name);
        check_records(&vector, records);
    }
}

#[test]
fn kinds_in_their_order() {
    for vector in vectors("order.txt", "order") {
        let to_server = vector.field("to") == "server";
        let mut state = MessageState::default();
        let mut result = String::from("ok");
        for (index, kind) in vector.field("kinds").split(',').enumerate() {
            let kind = kind
                .parse()
                .ok()
                .and_then(FrameKind::from_u8)
                .expect("a kind");
            if kind == FrameKind::Close {
                result = String::from("close");
                break;
            }
            match state.after(kind).filter(|_| kind.is_request() == to_server) {
                Some(next) => state = next,
                None => {
                    result = (index + 1).to_string();
                    break;
                }
            }
        }
        assert_eq!(result, vector.field("result"), "{}", vector.name);
    }
}
