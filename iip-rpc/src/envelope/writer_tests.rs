use bytes::Bytes;
use iip_core::session::{MAX_CHUNK, MESSAGE_COST, PIECE, Payload};
use proptest::prelude::*;

use super::writer::{MAX_RECORDS, MIN_WINDOW};
use super::{Batch, Direction, Head, MessageBytes, Trailer, cut, read, write};
use crate::Metadata;

/// The data of each frame, and all of it together.
fn frames(payload: &Payload) -> (Vec<usize>, Bytes) {
    match payload {
        Payload::Whole(data) => (vec![data.len()], data.clone()),
        Payload::Chunks(chunks) => {
            let mut all = Vec::new();
            for chunk in chunks {
                all.extend_from_slice(chunk.head());
                all.extend_from_slice(&chunk.body);
            }
            (chunks.iter().map(|chunk| chunk.len()).collect(), all.into())
        }
    }
}

fn metadata(size: usize) -> Metadata {
    let mut metadata = Metadata::new();
    let mut left = size;
    while left > 0 {
        let len = left.min(8000);
        metadata.append("k-bin", vec![b'x'; len]).unwrap();
        left -= len;
    }
    metadata
}

#[test]
fn a_small_call_is_its_message_record_itself() {
    let message = MessageBytes::encode(&"hello".to_owned()).unwrap();
    let (record, _) = message.clone().into_record();
    let Payload::Whole(data) = write(Bytes::new(), message, Bytes::new()) else {
        panic!("cut");
    };
    assert_eq!(data.as_ptr(), record.as_ptr());
    assert_eq!(&data[..], b"\x02\x07\x0a\x05hello");
}

#[test]
fn what_fits_one_frame_is_one_frame() {
    let head = Head::to_record(Some(5), &metadata(9000), None);
    let fits = MAX_RECORDS - head.len() - 1 - 3;
    for (len, count) in [(0, 1), (fits, 1), (fits + 1, 3)] {
        let message = MessageBytes::bare(Bytes::from(vec![7; len]));
        let (frames, _) = frames(&write(head.clone(), message, Bytes::new()));
        assert_eq!(frames.len(), count, "{len}");
    }
}

#[test]
fn the_bytes_of_a_large_message_are_shared() {
    let text = Bytes::from(vec![9; 200_000]);
    let (record, header) = MessageBytes::bare(text).into_record();
    let from = record[usize::from(header)..].as_ptr();
    let message = MessageBytes::Whole { record, header };
    let Payload::Chunks(chunks) = write(Bytes::new(), message, Bytes::new()) else {
        panic!("not cut");
    };
    assert_eq!(chunks[0].body.as_ptr(), from);
    assert_eq!(chunks.len(), (200_000 + MESSAGE_COST).div_ceil(PIECE));
}

#[test]
fn what_costs_more_than_every_call_has_goes_in_pieces() {
    let free = MIN_WINDOW - MESSAGE_COST;
    for (len, pieces) in [(free, 0), (free + 1, 3), (4 * PIECE - MESSAGE_COST, 4)] {
        let message = MessageBytes::bare(Bytes::from(vec![7; len]));
        match write(Bytes::new(), message, Bytes::new()) {
            Payload::Whole(_) => assert_eq!(pieces, 0),
            Payload::Chunks(chunks) => {
                assert_eq!(chunks.len(), pieces);
                let costs: Vec<_> = chunks.iter().map(|chunk| chunk.cost()).collect();
                assert!(costs.iter().all(|cost| *cost <= PIECE), "{costs:?}");
                assert_eq!(costs.iter().sum::<usize>(), len + MESSAGE_COST);
            }
        }
    }
}

#[test]
fn told_costs_are_those_of_the_records() {
    for len in [
        0,
        1,
        PIECE - MESSAGE_COST,
        PIECE - MESSAGE_COST + 1,
        PIECE,
        3 * PIECE + 5,
    ] {
        let mut chunks = Vec::new();
        let message = MessageBytes::bare(Bytes::from(vec![7; len]));
        cut(Batch::from(message), None, &mut chunks);
        for chunk in &chunks {
            let untold = iip_core::session::Chunk::new(chunk.head(), chunk.body.clone());
            assert_eq!(chunk.cost(), untold.cost(), "{len}");
        }
    }
}

proptest! {
    #[test]
    fn every_frame_is_full_of_records_and_the_message_comes_back(
        len in prop_oneof![0usize..200, 32_000usize..33_500, 60_000usize..200_000],
        head in prop_oneof![Just(0usize), 1usize..200, 10_000usize..16_000],
        trailer in prop_oneof![Just(0usize), 1usize..200, 10_000usize..16_000],
    ) {
        let message: Bytes = (0..len).map(|index| index as u8).collect::<Vec<_>>().into();
        let (head, trailer) = (metadata(head), metadata(trailer));
        let payload = write(
            Head::to_record(None, &head, None),
            MessageBytes::bare(message.clone()),
            Trailer::ok_record(&trailer),
        );
        let (lens, data) = frames(&payload);
        for len in &lens {
            prop_assert!((1..=MAX_CHUNK - 4).contains(len));
        }
        let inbound = read(Direction::Response, data.clone(), len).unwrap();
        prop_assert_eq!(inbound.head.metadata, head);
        prop_assert_eq!(inbound.message.unwrap().into_bytes(), message);
        match inbound.trailer {
            Some(Trailer::Ok(metadata)) => prop_assert_eq!(metadata, trailer),
            None => prop_assert!(trailer.is_empty()),
            Some(Trailer::Failed(status)) => prop_assert!(false, "{status}"),
        }
        // Records do not span frames: each frame alone is whole records.
        if let Payload::Chunks(chunks) = payload {
            for chunk in chunks {
                let frame = [chunk.head(), &chunk.body[..]].concat();
                prop_assert!(iip_core::wire::record::Records::new(&frame).all(|r| r.is_ok()));
            }
        }
    }
}
