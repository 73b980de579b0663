use bytes::Bytes;
use iip_core::session::MESSAGE_COST;
use proptest::prelude::*;

use super::message_tests::records_of;
use super::{Direction, EnvelopeError, FrameReader, Head, Item, MessageBytes, Trailer};
use crate::{Code, Metadata, Status};

/// The records of small messages.
fn small(messages: &[&[u8]]) -> Bytes {
    let mut out = Vec::new();
    for message in messages {
        let (record, _) = MessageBytes::bare(Bytes::copy_from_slice(message)).into_record();
        out.extend_from_slice(&record);
    }
    out.into()
}

/// Everything in some frames: the messages, and how it ended.
fn read_all(
    reader: &mut FrameReader,
    frames: &[Bytes],
) -> (Vec<Bytes>, usize, Result<Vec<Item>, EnvelopeError>) {
    let (mut messages, mut cost, mut others) = (Vec::new(), 0, Vec::new());
    for frame in frames {
        reader.push(frame.clone());
        loop {
            match reader.next() {
                Ok(Some(Item::Batch(batch))) => {
                    cost += batch.cost();
                    let mut batch = Some(batch);
                    while let Some(message) = batch.take().and_then(|b| b.split_first(&mut batch)) {
                        messages.push(message.into_bytes());
                    }
                }
                Ok(Some(other)) => others.push(other),
                Ok(None) => break,
                Err(error) => return (messages, cost, Err(error)),
            }
        }
    }
    let end = reader.finish().map(|()| others);
    (messages, cost, end)
}

fn reader(direction: Direction) -> FrameReader {
    FrameReader::new(direction, 1000)
}

#[test]
fn a_frame_of_messages_is_one_batch_of_the_same_memory() {
    let frame = small(&[b"a", b"", b"bc"]);
    let mut reader = reader(Direction::Request);
    reader.push(frame.clone());
    let Ok(Some(Item::Batch(super::Batch::Records { records, cost, .. }))) = reader.next() else {
        panic!("no batch");
    };
    assert_eq!(records.as_ptr(), frame.as_ptr());
    assert_eq!(cost, 3 + 3 * MESSAGE_COST);
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn metadata_stands_first_and_the_trailer_last() {
    let mut metadata = Metadata::new();
    metadata.insert("k", "v").unwrap();
    let head = Head::to_record(Some(7), &metadata, None);
    let trailer = Trailer::ok_record(&metadata);
    let frames = [head.clone(), small(&[b"a"]), trailer.clone()];
    let (messages, _, others) = read_all(&mut reader(Direction::Response), &frames);
    assert_eq!(messages, [&b"a"[..]]);
    assert!(matches!(
        &others.unwrap()[..],
        [Item::Head(head), Item::Trailer(Trailer::Ok(trailers))]
            if head.timeout_us == Some(7) && trailers.get("k") == Some("v")
    ));
    for frames in [
        [small(&[b"a"]), head.clone()],
        [head.clone(), head],
        [trailer.clone(), small(&[b"a"])],
    ] {
        let (_, _, others) = read_all(&mut reader(Direction::Response), &frames);
        assert!(matches!(others, Err(EnvelopeError::Misplaced(_))));
    }
    let (_, _, others) = read_all(&mut reader(Direction::Request), &[trailer]);
    assert!(matches!(others, Err(EnvelopeError::Misplaced(_))));
}

#[test]
fn what_stands_before_an_error_is_delivered() {
    for (bad, first) in [
        (&b"\x02\x05abc"[..], true),
        (b"\x02\x80", true),
        (b"\x07\x00", false),
        (b"\x42\x00", false),
        (b"\x04\x01a", false),
        (b"\x02\xe9\x07", true),
    ] {
        let frame = [&small(&[b"a", b"b"])[..], bad].concat();
        let (messages, _, others) = read_all(&mut reader(Direction::Request), &[frame.into()]);
        assert_eq!(messages.len(), 2, "{bad:02x?}");
        assert!(others.is_err(), "{bad:02x?} {first}");
    }
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_start() {
    let whole = small(&[&[7; 1001]]);
    let start = records_of(&[7; 1001], &[1, 500], false);
    for frame in [whole, start] {
        let (messages, _, others) = read_all(&mut reader(Direction::Request), &[frame]);
        assert!(messages.is_empty());
        assert!(matches!(
            others,
            Err(EnvelopeError::MessageTooLarge {
                len: 1001,
                limit: 1000
            })
        ));
    }
    let (messages, _, _) = read_all(&mut reader(Direction::Request), &[small(&[&[7; 1000]])]);
    assert_eq!(messages.len(), 1);
}

#[test]
fn only_a_failure_may_end_a_message_early() {
    let begun = Bytes::from_static(b"\x03\x03\x0aab");
    let status = Status::new(Code::Aborted, "no");
    let failed = Trailer::failed_record(&status, false);
    let frames = [begun.clone(), failed];
    let (_, _, others) = read_all(&mut reader(Direction::Response), &frames);
    assert!(matches!(
        &others.unwrap()[..],
        [Item::Trailer(Trailer::Failed(status))] if status.code() == Code::Aborted
    ));
    let mut metadata = Metadata::new();
    metadata.insert("k", "v").unwrap();
    for rest in [Bytes::new(), Trailer::ok_record(&metadata)] {
        let frames = [begun.clone(), rest];
        let (_, _, others) = read_all(&mut reader(Direction::Response), &frames);
        assert_eq!(others.unwrap_err(), EnvelopeError::Unfinished);
    }
    let cancel = Bytes::from_static(b"\x06\x01\x01");
    let (_, _, others) = read_all(&mut reader(Direction::Request), &[begun, cancel]);
    assert!(matches!(&others.unwrap()[..], [Item::Cancelled]));
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    for bad in [
        // More than announced, in the start and in a part; an empty part; another message between.
        &b"\x03\x03\x01ab"[..],
        b"\x03\x02\x02a\x04\x02bc",
        b"\x03\x02\x02a\x04\x00",
        b"\x03\x02\x02a\x02\x01b",
        b"\x03\x02\x02a\x03\x02\x01b",
    ] {
        let frame = Bytes::copy_from_slice(bad);
        let (messages, _, others) = read_all(&mut reader(Direction::Request), &[frame]);
        assert!(messages.is_empty());
        assert!(
            matches!(
                others,
                Err(EnvelopeError::BadPart | EnvelopeError::Misplaced(_))
            ),
            "{bad:02x?}"
        );
    }
}

proptest! {
    #[test]
    fn messages_come_back_however_they_are_cut(
        messages in prop::collection::vec((0usize..5000, prop::collection::vec(1usize..2000, 0..6)), 0..8),
        cut_at in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut reader = FrameReader::new(Direction::Request, 5000);
        let (mut sent, mut frames, mut frame, mut cost) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (index, (len, cuts)) in messages.iter().enumerate() {
            let message: Bytes = (0..*len).map(|at| (at ^ index) as u8).collect::<Vec<_>>().into();
            cost += len + MESSAGE_COST;
            // Without cuts a whole record; with them a message in parts, some of which are tiny.
            let records = if cuts.is_empty() {
                small(&[&message])
            } else {
                records_of(&message, cuts, true)
            };
            sent.push(message);
            let mut rest = &records[..];
            for record in iip_core::wire::record::Records::new(&records) {
                let record = record.unwrap();
                let end = record.offset + record.payload.len() - (records.len() - rest.len());
                frame.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
                if cut_at.iter().any(|index| index.index(7) == frame.len() % 7) {
                    frames.push(Bytes::from(std::mem::take(&mut frame)));
                }
            }
        }
        frames.push(frame.into());
        let (read, read_cost, end) = read_all(&mut reader, &frames);
        prop_assert!(end.is_ok());
        prop_assert_eq!(read, sent);
        prop_assert_eq!(read_cost, cost);
    }
}
