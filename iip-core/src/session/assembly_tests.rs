use std::time::Instant;

use proptest::prelude::*;

use super::assembly::{Added, Assembly};
use crate::wire::record::{RecordKind, encode_header, encode_varint};

const SKIPPED: RecordKind = RecordKind(0x91);

fn record(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
    [&encode_header(kind, payload.len() as u64)[..], payload].concat()
}

fn start(total: usize, first: &[u8]) -> Vec<u8> {
    start_of(RecordKind::MESSAGE_START, total, first)
}

fn start_of(kind: RecordKind, total: usize, first: &[u8]) -> Vec<u8> {
    record(kind, &[&encode_varint(total as u64)[..], first].concat())
}

fn part(bytes: &[u8]) -> Vec<u8> {
    record(RecordKind::MESSAGE_PART, bytes)
}

fn assembled(frames: &[Vec<u8>]) -> Vec<u8> {
    let now = Instant::now();
    let mut assembly = Assembly::new(1 << 20, true, now);
    for frame in frames {
        assert_eq!(assembly.add(frame, frame.len(), now), Added::Kept);
    }
    assembly.finish().to_vec()
}

proptest! {
    #[test]
    fn parts_become_one_record(
        message in proptest::collection::vec(any::<u8>(), 0..5000),
        cuts in proptest::collection::vec(1usize..900, 0..20),
        compressed: bool,
        skipped: bool,
    ) {
        let flag = if compressed { RecordKind::COMPRESSED } else { 0 };
        let head = record(RecordKind::HEAD, b"head");
        let trailer = record(RecordKind::TRAILER, b"trailer");
        let mut rest = &message[..];
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count.min(rest.len()));
            rest = left;
            taken
        };
        let mut cuts = cuts.into_iter();
        let kind = RecordKind(RecordKind::MESSAGE_START.0 | flag);
        let first = take(cuts.next().unwrap_or(0));
        let mut frames = vec![[head.clone(), start_of(kind, message.len(), first)].concat()];
        loop {
            let bytes = take(cuts.next().unwrap_or(usize::MAX));
            if bytes.is_empty() {
                break;
            }
            let between = if skipped { record(SKIPPED, b"?") } else { Vec::new() };
            frames.push([between, part(bytes)].concat());
        }
        frames.push(trailer.clone());
        let whole = record(RecordKind(RecordKind::MESSAGE.0 | flag), &message);
        prop_assert_eq!(assembled(&frames), [head, whole, trailer].concat());
    }

    #[test]
    fn whatever_records_come_nothing_panics_and_no_message_is_invented(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)
    ) {
        let all: usize = frames.iter().map(Vec::len).sum();
        // A header may become longer: it tells the whole length instead of the part's.
        prop_assert!(assembled(&frames).len() <= all + 10 * frames.len());
    }
}

#[test]
fn a_message_cut_short_by_a_failure_is_left_out() {
    let trailer = record(RecordKind::TRAILER, b"failed");
    let frames = [start(100, b"begun"), part(b"more"), trailer.clone()];
    assert_eq!(assembled(&frames), trailer);
}

#[test]
fn mistakes_are_left_for_the_reader_to_see() {
    // A part too many, an empty one, one without a beginning, a beginning with more than it announces.
    let whole = record(RecordKind::MESSAGE, b"abc");
    assert_eq!(
        assembled(&[start(3, b"abc"), part(b"d")]),
        [whole, part(b"d")].concat()
    );
    assert_eq!(assembled(&[start(3, b"ab"), part(b"cd")]), part(b"cd"));
    assert_eq!(assembled(&[start(3, b"ab"), part(b"")]), part(b""));
    assert_eq!(assembled(&[start(1, b"ab")]), start(1, b"ab"));
    // A message inside another.
    let inner = record(RecordKind::MESSAGE, b"x");
    assert_eq!(
        assembled(&[start(3, b"ab"), inner.clone(), part(b"c")]),
        [part(b""), inner, part(b"c")].concat()
    );
    // Nothing of which follows the inner one: a part that belongs nowhere stands for what had begun.
    let inner = record(RecordKind::MESSAGE, b"x");
    assert_eq!(
        assembled(&[start(3, b"ab"), inner.clone()]),
        [part(b""), inner].concat()
    );
    assert_eq!(
        assembled(&[start(3, b"ab"), start(2, b"xy")]),
        [part(b""), start(2, b"xy")].concat()
    );
    // What is no record, in the middle of a message.
    assert_eq!(
        assembled(&[start(3, b"ab"), vec![4, 200], part(b"c")]),
        [vec![4, 200], part(b"c")].concat()
    );
    // Unfinished: the record announces more than follows.
    assert_eq!(assembled(&[start(3, b"ab")]), [2, 3, b'a', b'b']);
}

#[test]
fn data_that_are_no_records_stay_as_they_are() {
    let now = Instant::now();
    let mut assembly = Assembly::new(1000, false, now);
    let frame = start(3, b"ab");
    assembly.add(&frame, frame.len(), now);
    assert_eq!(assembly.finish(), frame);
}

/// How many bytes were copied to larger memory, if all of it was each time that there was other memory.
fn moved(frames: &[Vec<u8>]) -> usize {
    let now = Instant::now();
    let mut assembly = Assembly::new(4 << 20, true, now);
    let (mut moved, mut capacity) = (0, 0);
    for frame in frames {
        let held = assembly.held();
        assert_eq!(assembly.add(frame, frame.len(), now), Added::Kept);
        if assembly.capacity() != capacity {
            capacity = assembly.capacity();
            moved += held;
        }
    }
    moved
}

#[test]
fn many_small_records_are_not_copied_time_and_again() {
    let skipped = vec![record(SKIPPED, b"0123456789"); 300_000];
    let sent = 12 * skipped.len();
    assert!(moved(&skipped) < 8 * sent, "{}", moved(&skipped) / sent);
    // Messages that begin, and are whole with their next part.
    let pairs: Vec<_> = (0..150_000)
        .flat_map(|_| [start(10, b"01234"), part(b"56789")])
        .collect();
    assert!(moved(&pairs) < 8 * sent, "{}", moved(&pairs) / sent);
}
