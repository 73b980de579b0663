use bytes::Bytes;

use super::framing::Framing;
use super::rig_tests::{Sent, chunks, decode_all, payload};
use super::send_queue::{SendQueue, Withdrawn};
use super::*;
use crate::session::tally::NO_ROUTE;
use crate::wire::ChannelId;

const NATIVE: Framing = Framing {
    response: true,
    route: NO_ROUTE,
    path: None,
    envelope: None,
    max_data: MAX_CHUNK,
};

fn call(channel: u32) -> CallId {
    CallId {
        channel: ChannelId(channel),
        generation: 1,
    }
}

fn push(queue: &mut SendQueue, channel: u32, size: usize) -> Option<u64> {
    queue.push(call(channel), &NATIVE, payload(vec![0; size]), true, true)
}

/// What the driver is given at a time.
fn transmit(queue: &mut SendQueue) -> Vec<Sent> {
    let mut out = Vec::new();
    queue.transmit(&mut out);
    decode_all(&out)
}

fn transmit_all(queue: &mut SendQueue) -> Vec<Sent> {
    std::iter::from_fn(|| (!queue.is_empty()).then(|| transmit(queue)))
        .flatten()
        .collect()
}

fn bytes(frames: &[Sent]) -> usize {
    frames
        .iter()
        .map(|frame| frame.data.len() + frame.path.len() + 10)
        .sum()
}

#[test]
fn small_messages_go_out_in_their_order() {
    let mut queue = SendQueue::default();
    assert!(queue.is_empty());
    assert_eq!(push(&mut queue, 3, 5), Some(16));
    assert_eq!(
        push(&mut queue, 1, MAX_CHUNK),
        Some(16 + 11 + MAX_CHUNK as u64)
    );
    assert_eq!(queue.len(), 16 + 11 + MAX_CHUNK);
    let frames = transmit(&mut queue);
    let order: Vec<_> = frames
        .iter()
        .map(|frame| (frame.channel, frame.data.len()))
        .collect();
    assert_eq!(order, [(3, 5), (1, MAX_CHUNK)]);
    assert_eq!(
        push(&mut queue, 1, 1),
        Some(16 + 11 + MAX_CHUNK as u64 + 12)
    );
    assert!(queue.take_steps().is_empty());
}

#[test]
fn a_small_message_behind_bulk_waits_for_what_was_handed_out_only() {
    for bulk in [1, 2, 10, 50] {
        let mut queue = SendQueue::default();
        for channel in 1..=bulk {
            assert_eq!(push(&mut queue, channel, 1 << 20), None);
        }
        let first = transmit(&mut queue);
        assert!(
            bytes(&first) < 64 * 1024 + MAX_CHUNK + 100,
            "little is handed out at a time"
        );
        push(&mut queue, 99, 32);
        assert_eq!(transmit(&mut queue)[0].channel, 99);
    }
}

#[test]
fn a_message_of_two_chunks_waits_for_a_few_chunks_of_each_bulk_channel() {
    for bulk in [1usize, 4, 20] {
        let mut queue = SendQueue::default();
        for channel in 1..=bulk {
            push(&mut queue, channel as u32, 4 << 20);
        }
        transmit(&mut queue);
        push(&mut queue, 99, MAX_CHUNK + 1);
        let mut before = 0;
        for frame in transmit_all(&mut queue) {
            if frame.channel == 99 && frame.kind == 7 {
                break;
            }
            before += frame.data.len();
        }
        // Both turns of two chunks: 64 KiB of each.
        assert!(
            before <= (bulk + 1) * 3 * MAX_CHUNK,
            "{before} bytes behind {bulk} channels"
        );
    }
}

#[test]
fn bulk_channels_take_turns_by_bytes() {
    let mut queue = SendQueue::default();
    // One cuts itself into small frames, one into large ones.
    let small = vec![0; 1000];
    queue.push(
        call(1),
        &NATIVE,
        chunks((0..2000).map(|_| &small[..])),
        true,
        true,
    );
    push(&mut queue, 2, 2_000_000);
    let (mut one, mut two) = (0usize, 0usize);
    for _ in 0..20 {
        for frame in transmit(&mut queue) {
            *if frame.channel == 1 {
                &mut one
            } else {
                &mut two
            } += frame.data.len();
            assert!(one.abs_diff(two) <= 2 * MAX_CHUNK, "{one} and {two}");
        }
    }
    assert!(one > 500_000 && two > 500_000);
}

#[test]
fn small_messages_do_not_starve_bulk() {
    let mut queue = SendQueue::default();
    push(&mut queue, 1, 1 << 20);
    let mut rounds = 0;
    while queue.queued_on(ChannelId(1)) > 0 {
        for _ in 0..200 {
            push(&mut queue, 2, 1000);
        }
        transmit(&mut queue);
        rounds += 1;
        assert!(rounds <= 40, "a chunk goes out each time");
    }
}

#[test]
fn messages_of_one_channel_keep_their_order() {
    let mut queue = SendQueue::default();
    push(&mut queue, 1, 100_000);
    assert_eq!(
        push(&mut queue, 1, 5),
        None,
        "it waits behind the larger one"
    );
    push(&mut queue, 2, 5);
    let order: Vec<_> = transmit_all(&mut queue)
        .iter()
        .map(|frame| (frame.channel, frame.kind))
        .collect();
    assert_eq!(order, [(2, 5), (1, 4), (1, 6), (1, 6), (1, 7), (1, 5)]);
}

#[test]
fn steps_name_the_end_of_first_and_last_frames() {
    let mut queue = SendQueue::default();
    push(&mut queue, 9, 100);
    push(&mut queue, 1, 2 * MAX_CHUNK + 1);
    let mut offset = 0;
    let mut ends = Vec::new();
    let mut steps = Vec::new();
    while !queue.is_empty() {
        for frame in transmit(&mut queue) {
            offset += frame.data.len() as u64 + 11;
            if frame.channel == 1 {
                ends.push(offset);
            }
        }
        steps.extend(queue.take_steps());
    }
    assert_eq!(ends.len(), 3);
    let found: Vec<_> = steps
        .iter()
        .map(|step| (step.end, step.first, step.last, step.drained, step.room))
        .collect();
    assert_eq!(
        found,
        [
            (ends[0], true, false, false, false),
            (ends[1], false, false, false, true),
            (ends[2], false, true, true, false)
        ]
    );
    // A part of a message that leaves nothing behind.
    queue.push(call(1), &NATIVE, payload(vec![0; 40_000]), true, false);
    transmit_all(&mut queue);
    let steps = queue.take_steps();
    assert_eq!(steps.len(), 2);
    assert!(steps[0].first && !steps[0].last && !steps[1].last && steps[1].drained);
}

#[test]
fn what_is_withdrawn_is_not_sent() {
    let mut queue = SendQueue::default();
    assert_eq!(queue.withdraw(call(1)), Withdrawn::Nothing);
    push(&mut queue, 1, 1 << 20);
    push(&mut queue, 2, 1 << 20);
    assert!(queue.has_first(call(1)));
    assert_eq!(queue.withdraw(call(1)), Withdrawn::Everything);
    assert_eq!((queue.len(), queue.queued_on(ChannelId(1))), (1 << 20, 0));
    transmit(&mut queue);
    assert!(!queue.has_first(call(2)) && queue.queued_on(ChannelId(2)) > 0);
    let other = CallId {
        channel: ChannelId(2),
        generation: 2,
    };
    assert_eq!(queue.withdraw(other), Withdrawn::Nothing);
    assert_eq!(queue.withdraw(call(2)), Withdrawn::Rest);
    assert_eq!((queue.is_empty(), queue.len()), (true, 0));
    assert!(transmit(&mut queue).is_empty());
    queue.shrink();
}

#[test]
fn only_the_withdrawn_call_of_a_channel_goes() {
    let mut queue = SendQueue::default();
    let next = CallId {
        channel: ChannelId(1),
        generation: 2,
    };
    push(&mut queue, 1, 100_000);
    queue.push(next, &NATIVE, payload(vec![7; 3]), true, true);
    assert_eq!(queue.withdraw(call(1)), Withdrawn::Everything);
    let frames = transmit_all(&mut queue);
    assert_eq!((frames.len(), &frames[0].data[..]), (1, &[7, 7, 7][..]));
}

#[test]
fn output_is_appended() {
    let mut queue = SendQueue::default();
    push(&mut queue, 1, 5);
    let mut out = vec![1, 2, 3];
    queue.transmit(&mut out);
    assert_eq!((out.len(), &out[..3]), (3 + 16, &[1, 2, 3][..]));
    push(&mut queue, 1, 100_000);
    queue.transmit(&mut out);
    assert!(out.len() > 64 * 1024);
}

#[test]
fn chunks_have_a_head_and_a_body() {
    let chunk = Chunk::new(b"head", Bytes::from_static(b"body"));
    assert_eq!(
        (chunk.head(), &chunk.body[..], chunk.len(), chunk.is_empty()),
        (&b"head"[..], &b"body"[..], 8, false)
    );
    assert!(Chunk::new(b"", Bytes::new()).is_empty());
    let payload = Payload::from(vec![chunk.clone(), chunk]);
    assert_eq!((payload.len(), payload.is_empty()), (16, false));
    assert!(Payload::from(Bytes::new()).is_empty());
    let mut queue = SendQueue::default();
    let framing = Framing {
        envelope: Some((0x80, 3)),
        ..NATIVE
    };
    queue.push(call(1), &framing, payload, true, true);
    let data: Vec<_> = transmit_all(&mut queue)
        .into_iter()
        .map(|frame| frame.data)
        .collect();
    assert_eq!(
        data,
        [
            b"\x0f\x80\0\x03headbody".to_vec(),
            b"\x0f\x80\0\x03headbody".to_vec()
        ]
    );
}

const ENVELOPED: Framing = Framing {
    response: true,
    route: NO_ROUTE,
    path: None,
    envelope: Some((0x80, 7)),
    max_data: MAX_CHUNK,
};

fn piece(kind: u8, length: usize) -> Chunk {
    let header =
        crate::wire::record::encode_header(crate::wire::record::RecordKind(kind), length as u64);
    Chunk::new(&header, vec![0; length].into())
}

fn push_piece(queue: &mut SendQueue, chunk: Chunk, first: bool, last: bool) {
    queue.push_chunk(call(1), &ENVELOPED, chunk, first, last);
}

/// Kinds and lengths of the data.
fn shape(queue: &mut SendQueue) -> Vec<(u8, usize)> {
    transmit_all(queue)
        .iter()
        .map(|frame| (frame.kind, frame.data.len()))
        .collect()
}

#[test]
fn small_pieces_that_wait_share_a_frame() {
    let mut queue = SendQueue::default();
    for index in 0..300 {
        push_piece(&mut queue, piece(2, 5), index == 0, false);
    }
    push_piece(&mut queue, piece(5, 2), false, true);
    // A frame costs at most 16 KiB: 237 messages of 69.
    assert_eq!(queue.len(), 301 * 7 - 3);
    assert_eq!(shape(&mut queue), [(4, 4 + 237 * 7), (7, 4 + 63 * 7 + 4)]);
    // A large one does not, and a part of a message has nothing behind it.
    push_piece(&mut queue, piece(2, 5), true, false);
    push_piece(&mut queue, piece(2, 5000), false, false);
    push_piece(&mut queue, piece(4, 5), false, false);
    push_piece(&mut queue, piece(2, 6), false, false);
    push_piece(&mut queue, piece(2, 7), false, true);
    assert_eq!(shape(&mut queue), [(4, 11), (6, 5007), (6, 11), (7, 21)]);
    assert_eq!((queue.len(), queue.waiting(), queue.uncovered()), (0, 0, 0));
}

#[test]
fn what_waits_for_credit_takes_no_turn() {
    let mut queue = SendQueue::default();
    for index in 0..4 {
        push_piece(&mut queue, piece(2, 16_000), index == 0, false);
    }
    assert_eq!(shape(&mut queue).len(), 2);
    assert!(queue.is_empty());
    assert_eq!((queue.len(), queue.waiting()), (0, 2 * 16_003));
    assert_eq!(queue.used(), 2 * 16_064);
    // Behind it too, and what is raw goes on.
    push_piece(&mut queue, piece(5, 2), false, true);
    assert!(queue.is_empty());
    push(&mut queue, 2, 100_000);
    assert_eq!(transmit_all(&mut queue).len(), 4);
    // For another call, too little, and enough for one.
    assert!(queue.grant(ChannelId(1), 8, 1 << 20, None) && queue.is_empty());
    assert!(queue.grant(ChannelId(1), 7, 1000, None) && queue.is_empty());
    assert!(queue.grant(ChannelId(1), 7, 15_064, None));
    assert_eq!(shape(&mut queue), [(6, 16_007)]);
    assert!(queue.grant(ChannelId(1), 7, 1 << 20, None));
    // What needs no credit has joined it.
    assert_eq!(shape(&mut queue), [(7, 16_011)]);
    assert_eq!((queue.len(), queue.waiting()), (0, 0));
}

#[test]
fn what_nobody_waits_for_ends_with_an_empty_frame() {
    let mut queue = SendQueue::default();
    for index in 0..4 {
        push_piece(&mut queue, piece(2, 16_000), index == 0, index == 3);
    }
    queue.cut(ChannelId(1), 8);
    assert_eq!(shape(&mut queue).len(), 2);
    queue.cut(ChannelId(1), 7);
    assert_eq!(shape(&mut queue), [(7, 4)]);
    assert_eq!((queue.len(), queue.waiting()), (0, 0));
    // Of one that is not complete the handler has to be heard.
    for index in 0..4 {
        push_piece(&mut queue, piece(2, 16_000), index == 0, false);
    }
    shape(&mut queue);
    queue.cut(ChannelId(1), 7);
    assert!(queue.waiting() > 0);
    assert_eq!(queue.withdraw(call(1)), Withdrawn::Rest);
    assert_eq!((queue.len(), queue.waiting()), (0, 0));
}

#[test]
fn a_sender_whose_credit_covers_it_gets_further_ahead() {
    let mut queue = SendQueue::default();
    let framing = Framing {
        envelope: Some((0x80, 3)),
        ..NATIVE
    };
    let add = |queue: &mut SendQueue, first| {
        let mut pieces = 0;
        while queue.has_room(call(1)) {
            let piece = Chunk::new(&[], Bytes::from(vec![0; PIECE])).costing(PIECE);
            queue.push_chunk(call(1), &framing, piece, first && pieces == 0, false);
            pieces += 1;
        }
        pieces
    };
    // What every call begins with is less than what may wait anyway.
    assert_eq!(add(&mut queue, true), 4);
    transmit(&mut queue);
    assert!(queue.is_empty(), "it waits for credit");
    assert!(queue.grant(ChannelId(1), 3, 1 << 20, Some(call(1))));
    queue.take_steps();
    assert_eq!(add(&mut queue, false), 14);
    // Half of what waits must be out before it goes on.
    while !queue.take_steps().iter().any(|step| step.room) {
        assert!(queue.queued_on(ChannelId(1)) >= 128 * 1024);
        transmit(&mut queue);
    }
    assert!(queue.queued_on(ChannelId(1)) >= 64 * 1024);
    assert!(queue.has_room(call(1)));
}

#[test]
fn a_message_is_counted_at_its_last_frame() {
    let mut queue = SendQueue::default();
    push_piece(&mut queue, piece(2, 5000), true, false);
    push_piece(&mut queue, piece(2, 5000), false, false);
    let mut bytes: usize = transmit_all(&mut queue)
        .iter()
        .map(|f| 11 + f.data.len())
        .sum();
    let counted = queue.tally.traffic();
    assert_eq!((counted.frames_sent, counted.messages_sent), (2, 0));
    assert_eq!(counted.bytes_sent, bytes as u64);
    push_piece(&mut queue, piece(5, 2), false, true);
    bytes += transmit_all(&mut queue)
        .iter()
        .map(|f| 11 + f.data.len())
        .sum::<usize>();
    let counted = queue.tally.traffic();
    assert_eq!((counted.frames_sent, counted.messages_sent), (3, 1));
    assert_eq!(counted.bytes_sent, bytes as u64);
}

/// A client may send its next call on a channel before it has read the last answer there.
#[test]
fn a_sender_behind_another_call_of_its_channel_learns_of_room() {
    for (before, own) in [(500, 1), (500, 40), (100, 1), (100, 4), (100, 40)] {
        let mut queue = SendQueue::default();
        let streamed = Framing {
            envelope: Some((0x80, 0)),
            ..NATIVE
        };
        let answer = payload(vec![0; before * 1024]);
        queue.push(call(1), &NATIVE, answer, true, true);
        let next = CallId {
            generation: 2,
            ..call(1)
        };
        let mut pushed = 0;
        while pushed < own && queue.has_room(next) {
            let piece = piece(2, 1000);
            queue.push_chunk(next, &streamed, piece, pushed == 0, false);
            pushed += 1;
        }
        assert!(
            pushed > 0,
            "nothing of it waits, so that nothing would wake it"
        );
        let waits = !queue.has_room(next);
        transmit_all(&mut queue);
        let told = queue.take_steps();
        let told = told.iter().any(|step| step.call == next && step.room);
        assert!(told || !waits, "{before} {own}");
        assert!(queue.has_room(next));
    }
}
