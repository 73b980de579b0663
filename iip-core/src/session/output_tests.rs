use std::io::IoSlice;

use bytes::Bytes;
use proptest::prelude::*;

use super::output::{Output, SMALL_STEP, Sink};

/// What a socket would be given next, at most `room` parts of it.
fn next(output: &Output, room: usize) -> Vec<u8> {
    if let Some(whole) = output.whole() {
        return whole.to_vec();
    }
    let mut slices = vec![IoSlice::new(&[]); room];
    let count = output.parts(&mut slices);
    assert!(count > 0 && slices[..count].iter().all(|part| !part.is_empty()));
    let bytes = slices[..count].iter().flat_map(|part| part.iter().copied());
    bytes.collect()
}

#[derive(Clone, Debug)]
enum Put {
    Written(usize),
    Swapped(usize),
    Piece(usize),
    /// The socket takes so many bytes of so many parts.
    Accept(usize, usize),
}

fn put() -> impl Strategy<Value = Put> {
    prop_oneof![
        (1usize..100).prop_map(Put::Written),
        (0usize..100).prop_map(Put::Swapped),
        (1usize..20_000).prop_map(Put::Piece),
        (1usize..40_000, 1usize..6).prop_map(|(count, room)| Put::Accept(count, room)),
    ]
}

proptest! {
    #[test]
    fn what_comes_out_is_what_was_put_in(puts in proptest::collection::vec(put(), 1..60), shares: bool) {
        let mut output = Output::new(shares);
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        let mut byte = 0u8;
        let mut some = |count: usize| -> Vec<u8> {
            (0..count).map(|_| { byte = byte.wrapping_add(7); byte }).collect()
        };
        for put in puts {
            match put {
                Put::Written(count) => {
                    let bytes = some(count);
                    output.bytes().extend_from_slice(&bytes);
                    expected.extend(bytes);
                }
                Put::Swapped(count) => {
                    let mut bytes = some(count);
                    expected.extend_from_slice(&bytes);
                    output.append(&mut bytes);
                    prop_assert!(bytes.is_empty());
                }
                Put::Piece(count) => {
                    let bytes = some(count);
                    expected.extend_from_slice(&bytes);
                    output.put(Bytes::from(bytes));
                }
                Put::Accept(count, room) => {
                    let next = next(&output, room);
                    let count = count.min(next.len());
                    got.extend_from_slice(&next[..count]);
                    output.advance(count);
                }
            }
            prop_assert_eq!(output.len(), expected.len() - got.len());
            prop_assert_eq!(output.is_empty(), expected.len() == got.len());
        }
        while !output.is_empty() {
            let next = next(&output, 3);
            got.extend_from_slice(&next);
            output.advance(next.len());
        }
        prop_assert!(got == expected);
        output.shrink(0);
        prop_assert_eq!(output.bytes().capacity(), 0);
    }
}

#[test]
fn a_large_piece_is_shared_if_the_socket_takes_parts() {
    let piece = Bytes::from(vec![7; 16 * 1024]);
    for (shares, copies) in [(true, 0), (false, piece.len())] {
        let mut output = Output::new(shares);
        output.put(piece.clone());
        assert_eq!(output.bytes().len(), copies);
    }
    let mut output = Output::new(true);
    output.put(piece.slice(..100));
    assert_eq!(output.bytes().len(), 100);
}

#[test]
fn steps_grow_while_the_socket_takes_all_and_shrink_when_it_does_not() {
    let mut output = Output::new(true);
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.push(output.step() / SMALL_STEP);
        output.put(Bytes::from(vec![0; output.step()]));
        output.advance(output.len());
    }
    assert_eq!(steps, [1, 2, 4, 8, 8]);
    // A small one says nothing.
    output.put(Bytes::from_static(b"small"));
    output.advance(5);
    assert_eq!(output.step(), 8 * SMALL_STEP);
    output.put(Bytes::from(vec![0; SMALL_STEP]));
    output.advance(SMALL_STEP - 1);
    assert_eq!(output.step(), SMALL_STEP);
    // Copies of more would need a larger buffer.
    let mut output = Output::new(false);
    output.put(Bytes::from(vec![0; SMALL_STEP]));
    output.advance(SMALL_STEP);
    assert_eq!(output.step(), SMALL_STEP);
}
