use bytes::Bytes;
use iip_core::session::{Chunk, MAX_CHUNK, MESSAGE_COST, PIECE, Payload};
use proptest::prelude::*;

use super::{
    Batch, Direction, EnvelopeError, FrameReader, Head, Item, MessageBytes, cut, pack, read, write,
};
use crate::compression::{COMPRESS_FROM, CompressionError, Packing, supported};
use crate::{Code, Compression, Encoding, Metadata};

const LIMIT: usize = 4 * 1024 * 1024;

fn text(len: usize) -> Bytes {
    let words = ["so", "many", "different", "words", "to", "choose"];
    let mut state = 7usize;
    let mut text = Vec::new();
    while text.len() < len {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
        text.extend_from_slice(words[(state >> 33) % 6].as_bytes());
        text.push(b' ');
    }
    text.truncate(len);
    text.into()
}

fn head(encoding: Encoding) -> Bytes {
    Head::to_record(None, &Metadata::new(), Some(encoding))
}

/// This encoding with the default threshold.
fn packing(encoding: Encoding) -> Option<Packing> {
    let from = COMPRESS_FROM;
    Some(Packing { encoding, from })
}

/// Every byte of records that is sent, and the longest chunk.
fn joined(payload: Payload) -> Bytes {
    match payload {
        Payload::Whole(data) => data,
        Payload::Chunks(chunks) => frames(&chunks).concat().into(),
    }
}

fn frames(chunks: &[Chunk]) -> Vec<Bytes> {
    let frame = |chunk: &Chunk| Bytes::from([chunk.head(), &chunk.body[..]].concat());
    let frames: Vec<_> = chunks.iter().map(frame).collect();
    assert!(frames.iter().all(|frame| frame.len() <= MAX_CHUNK - 4));
    frames
}

#[test]
fn a_unary_message_travels_compressed() {
    for encoding in supported() {
        for len in [1024, 30_000, 100_000, 3_000_000] {
            let message = text(len);
            let bare = MessageBytes::bare(message.clone());
            let (packed, packed_with) = pack(bare, packing(encoding), Compression::Auto);
            assert_eq!(packed_with, Some(encoding));
            let sent = joined(write(head(encoding), packed, Bytes::new()));
            assert!(sent.len() < len, "{encoding} {len}");
            let inbound = read(Direction::Request, sent.clone(), LIMIT).unwrap();
            assert_eq!(inbound.head.encoding, Some(encoding));
            assert_eq!(inbound.message.unwrap().into_bytes(), message);
            let error = read(Direction::Request, sent, len - 1).unwrap_err();
            let limit = CompressionError::TooLarge { limit: len - 1 };
            assert_eq!(error, EnvelopeError::Compression(limit));
            assert_eq!(error.in_request().code(), Code::ResourceExhausted);
        }
    }
}

#[test]
fn small_messages_and_those_that_do_not_shrink_are_sent_as_they_are() {
    let noise: Vec<u8> = (0..2000u64)
        .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect();
    for encoding in supported() {
        for message in [text(1023), Bytes::from(noise.clone()), Bytes::new()] {
            let bare = MessageBytes::bare(message.clone());
            let (kept, packed_with) = pack(bare, packing(encoding), Compression::Auto);
            if packed_with.is_none() {
                assert_eq!(kept.into_bytes(), message);
            }
            assert!(packed_with.is_none() || message.len() >= 1024);
        }
    }
    let (_, packed_with) = pack(MessageBytes::bare(text(9000)), None, Compression::Always);
    assert_eq!(packed_with, None);
}

#[test]
fn the_threshold_counts_unless_the_message_chooses() {
    for encoding in supported() {
        let packed = |len, from, compression| {
            let message = MessageBytes::bare(text(len));
            let packing = Some(Packing { encoding, from });
            pack(message, packing, compression).1.is_some()
        };
        assert!(packed(500, 500, Compression::Auto));
        assert!(!packed(499, 500, Compression::Auto));
        assert!(!packed(9000, usize::MAX, Compression::Auto));
        assert!(packed(500, usize::MAX, Compression::Always));
        assert!(!packed(9000, 0, Compression::Never));
        // It would not get smaller.
        assert!(!packed(1, 0, Compression::Auto) && !packed(0, 0, Compression::Always));
    }
}

#[test]
fn a_batch_is_compressed_as_it_says() {
    for encoding in supported() {
        let cost = |choice, from| {
            let (_, mut batch) = records(&[3000, 3000]);
            if let Batch::Records { compression, .. } = &mut batch {
                *compression = choice;
            }
            let mut chunks = Vec::new();
            cut(batch, Some(Packing { encoding, from }), &mut chunks);
            chunks.iter().map(Chunk::cost).sum::<usize>()
        };
        let whole = 2 * (3000 + MESSAGE_COST);
        assert!(cost(Compression::Auto, 3000) < whole / 2);
        assert!(cost(Compression::Always, usize::MAX) < whole / 2);
        assert_eq!(cost(Compression::Never, 0), whole);
        assert_eq!(cost(Compression::Auto, 3001), whole);
    }
}

#[test]
fn compressed_records_need_an_encoding_that_is_known() {
    let unknown = b"\x01\x04\x1a\x02br\x42\x01x";
    for records in [&b"\x42\x01x"[..], b"\x43\x02\x01x", unknown] {
        let records = Bytes::copy_from_slice(records);
        let error = read(Direction::Request, records.clone(), LIMIT).unwrap_err();
        assert_eq!(error, EnvelopeError::Compressed);
        assert_eq!(error.in_request().code(), Code::Internal);
        let mut reader = FrameReader::new(Direction::Request, LIMIT);
        reader.push(records);
        let error = loop {
            match reader.next() {
                Ok(Some(Item::Head(_))) => {}
                other => break other.unwrap_err(),
            }
        };
        assert_eq!(error, EnvelopeError::Compressed);
    }
}

/// What a reader gets of a stream of messages, and what it says they cost.
fn streamed(encoding: Encoding, batches: Vec<Batch>) -> (Vec<Bytes>, usize, usize) {
    let mut chunks = vec![Chunk::new(&[], head(encoding)).costing(0)];
    for batch in batches {
        cut(batch, packing(encoding), &mut chunks);
    }
    assert!(chunks.iter().all(|chunk| chunk.cost() <= PIECE));
    let paid = chunks.iter().map(Chunk::cost).sum();
    let mut reader = FrameReader::new(Direction::Response, LIMIT);
    let (mut messages, mut cost) = (Vec::new(), 0);
    for frame in frames(&chunks) {
        reader.push(frame);
        while let Some(item) = reader.next().unwrap() {
            let Item::Batch(batch) = item else {
                continue;
            };
            cost += batch.cost();
            let mut rest = Some(batch);
            while let Some(batch) = rest.take() {
                messages.push(batch.split_first(&mut rest).unwrap().into_bytes());
            }
        }
    }
    reader.finish().unwrap();
    (messages, paid, cost)
}

/// Messages of these lengths as one batch of records.
fn records(lengths: &[usize]) -> (Vec<Bytes>, Batch) {
    let messages: Vec<_> = lengths.iter().map(|len| text(*len)).collect();
    let mut records = Vec::new();
    for message in &messages {
        let (record, _) = MessageBytes::bare(message.clone()).into_record();
        records.extend_from_slice(&record);
    }
    let cost = lengths.iter().map(|len| len + MESSAGE_COST).sum();
    let records = Bytes::from(records);
    let compression = Compression::default();
    let batch = Batch::Records {
        records,
        cost,
        compression,
    };
    (messages, batch)
}

#[test]
fn streams_travel_compressed_and_pay_for_what_is_sent() {
    for encoding in supported() {
        let lengths = [0, 10, 5000, 10, 10, 9000, 3];
        let (mut wanted, batch) = records(&lengths);
        let large = text(2_000_000);
        wanted.push(large.clone());
        let large = Batch::from(MessageBytes::bare(large));
        let (messages, paid, cost) = streamed(encoding, vec![batch, large]);
        assert_eq!(messages, wanted, "{encoding}");
        assert_eq!(paid, cost);
        assert!(cost < 1_500_000);
    }
}

proptest! {
    #[test]
    fn any_batch_comes_back(lengths in prop::collection::vec(0usize..3000, 1..12)) {
        for encoding in supported() {
            let (wanted, batch) = records(&lengths);
            let (messages, paid, cost) = streamed(encoding, vec![batch]);
            prop_assert_eq!(messages, wanted);
            prop_assert_eq!(paid, cost);
        }
    }

    #[test]
    fn no_records_panic(kind in prop::sample::select(vec![0x42u8, 0x43]), payload: Vec<u8>) {
        for encoding in supported() {
            let mut records = head(encoding).to_vec();
            records.push(kind);
            records.extend_from_slice(&iip_core::wire::record::encode_varint(payload.len() as u64));
            records.extend_from_slice(&payload);
            let records = Bytes::from(records);
            let _ = read(Direction::Request, records.clone(), 1000);
            let mut reader = FrameReader::new(Direction::Request, 1000);
            reader.push(records);
            while let Ok(Some(_)) = reader.next() {}
        }
    }
}
