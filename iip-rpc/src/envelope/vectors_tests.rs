//! The test vectors of `docs/vectors/compressed.txt`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::{Direction, EnvelopeError, FrameReader, Item, read};
use crate::compression::CompressionError;
use crate::{Code, Encoding};

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

/// The name and the fields of every vector.
fn vectors(text: &str) -> impl Iterator<Item = (&str, HashMap<&str, &str>)> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("compressed"), "{line}");
        let name = words.next().expect("a name");
        let fields = words.map(|word| word.split_once('=').expect("a field is key=value"));
        (name, fields.collect())
    })
}

/// The one message of these records, read frame by frame.
fn read_frames(records: Bytes, limit: usize) -> Result<Bytes, EnvelopeError> {
    let mut reader = FrameReader::new(Direction::Request, limit);
    reader.push(records);
    loop {
        match reader.next()?.expect("a message") {
            Item::Batch(batch) => {
                let message = batch.split_first(&mut None).expect("a message");
                return Ok(message.into_bytes());
            }
            Item::Head(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The name of an error, and the code that the call fails with.
fn named(error: &EnvelopeError) -> (&'static str, Code) {
    let name = match error {
        EnvelopeError::Compressed => "NoEncoding",
        EnvelopeError::Compression(CompressionError::TooLarge { .. }) => "TooLarge",
        EnvelopeError::Compression(CompressionError::Bomb) => "Bomb",
        EnvelopeError::Compression(CompressionError::Malformed { .. }) => "Malformed",
        _ => "another error",
    };
    (name, error.in_request().code())
}

#[test]
fn compressed_messages() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors/compressed.txt");
    let text = fs::read_to_string(file).expect("the vectors are there");
    let mut seen: HashMap<Option<Encoding>, usize> = HashMap::new();
    for (name, fields) in vectors(&text) {
        let encoding = Encoding::from_name(fields["encoding"]);
        *seen.entry(encoding).or_default() += 1;
        if encoding.is_some_and(|encoding| !encoding.is_supported()) {
            continue;
        }
        let limit: usize = fields["limit"].parse().expect("a number");
        let records = Bytes::from(bytes(fields["bytes"]));
        let whole = read(Direction::Request, records.clone(), limit);
        let whole = whole.map(|inbound| inbound.message.expect("a message").into_bytes());
        for result in [whole, read_frames(records, limit)] {
            match (result, fields["result"]) {
                (Ok(message), "ok") => assert_eq!(message, bytes(fields["message"]), "{name}"),
                (Err(error), wanted) => {
                    let code = match wanted {
                        "TooLarge" | "Bomb" => Code::ResourceExhausted,
                        _ => Code::Internal,
                    };
                    assert_eq!(named(&error), (wanted, code), "{name}");
                }
                (Ok(_), wanted) => panic!("{name}: read, instead of {wanted}"),
            }
        }
    }
    assert!(seen.values().all(|count| *count >= 2) && seen.len() == 4);
}
