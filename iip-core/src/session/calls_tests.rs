//! A client's calls: leases, requests, and what is known of a call that failed.

use super::rig_tests::*;
use super::*;
use crate::wire::{ChannelId, Path};

fn native() -> ClientRig {
    ClientRig::native(ClientConfig::default(), 4)
}

#[test]
fn a_raw_call() {
    let mut rig = native();
    let call = rig.open("/raw?a=1", OpenOptions::default(), payload("hi"));
    assert_eq!(rig.sent(), [sent(1, "/raw?a=1", 2, "hi")]);
    assert_eq!(rig.session.in_flight(), 1);
    rig.frame(5, "/", 2, b"ho");
    assert_eq!(rig.responses(), [(call, "ho".into())]);
    rig.release(call);
    assert_eq!((rig.session.in_flight(), rig.session.available()), (0, 3));
}

#[test]
fn a_typed_call() {
    let mut rig = native();
    let call = rig.typed(&[2, 1, 7]);
    assert_eq!(rig.sent(), [sent(1, "/t.S/M", 2, [0x0f, 0, 0, 0, 2, 1, 7])]);
    rig.frame(5, "/", 2, &[0x0f, 0x80, 0, 0, 2, 1, 8]);
    assert_eq!(rig.responses(), [(call, vec![2, 1, 8].into())]);
}

#[test]
fn an_empty_typed_request_is_only_its_envelope() {
    for empty in [payload(""), Payload::Chunks(Vec::new())] {
        let mut rig = native();
        rig.open("/t.S/M", typed(), empty);
        assert_eq!(rig.sent(), [sent(1, "/t.S/M", 2, [0x0f, 0, 0, 0])]);
    }
}

#[test]
fn an_empty_raw_request_cannot_be_sent() {
    let mut rig = native();
    let path = Path::from_static("/raw");
    let opened = rig
        .session
        .open(&path, OpenOptions::default(), payload(""), rig.now);
    assert!(matches!(opened, Err(OpenError::Empty)));
    assert_eq!((rig.sent(), rig.session.available()), (vec![], 3));
}

#[test]
fn the_channel_used_last_is_used_first() {
    let mut rig = native();
    let calls: Vec<_> = (0..3).map(|_| rig.raw(b"x")).collect();
    let channels: Vec<_> = calls.iter().map(|call| call.channel.0).collect();
    assert_eq!(channels, [2, 3, 4]);
    rig.sent();
    for channel in [3, 4, 2] {
        rig.frame(5, "/", channel, b"y");
        rig.release(calls[channel as usize - 2]);
    }
    let channels: Vec<_> = (0..3).map(|_| rig.raw(b"x").channel.0).collect();
    assert_eq!(channels, [2, 4, 3]);
}

#[test]
fn a_channel_is_free_when_its_call_is_released_and_complete() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    let call = rig.raw(b"x");
    rig.sent();
    assert_eq!(rig.session.available(), 0);
    rig.frame(5, "/", 2, b"y");
    assert_eq!(rig.session.available(), 0, "answered, and not released");
    rig.events();
    rig.release(call);
    assert!(matches!(rig.events()[..], [ClientEvent::Capacity]));
    let again = rig.raw(b"x");
    assert_eq!(again.channel, call.channel);
    assert_ne!(
        again, call,
        "another call of the same channel has another name"
    );
    rig.release(call);
    assert_eq!(
        rig.session.in_flight(),
        1,
        "the earlier one cannot be released again"
    );
}

#[test]
fn a_call_given_up_keeps_its_channel_until_its_answer_has_come() {
    for first in [&[5][..], &[4, 6, 7]] {
        let mut rig = ClientRig::native(ClientConfig::default(), 2);
        let call = rig.raw(b"x");
        rig.sent();
        rig.release(call);
        assert_eq!((rig.session.in_flight(), rig.session.available()), (0, 0));
        for &kind in first {
            assert_eq!(rig.session.available(), 0);
            rig.frame(kind, "/", 2, &[0; 300]);
        }
        assert_eq!(rig.session.available(), 1);
        assert!(
            matches!(rig.events()[..], [ClientEvent::Capacity]),
            "nobody hears of the answer"
        );
        assert_eq!(rig.raw(b"z").channel, ChannelId(2));
    }
}

#[test]
fn the_answer_to_a_call_given_up_is_read_past_without_memory() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    let call = rig.raw(b"x");
    rig.sent();
    rig.release(call);
    rig.feed(&encode_head(5, "/", 2, 1 << 20));
    for _ in 0..16 {
        rig.feed(&[7; 1 << 16]);
        assert!(rig.input.is_empty());
    }
    assert_eq!(rig.session.available(), 1);
}

#[test]
fn a_call_that_was_not_sent_is_withdrawn() {
    for is_typed in [false, true] {
        let mut rig = ClientRig::native(ClientConfig::default(), 2);
        let large = vec![1; 200_000];
        let options = if is_typed {
            typed()
        } else {
            OpenOptions::default()
        };
        let call = rig.open("/raw", options, chunks(large.chunks(20_000)));
        rig.release(call);
        assert_eq!(rig.sent(), []);
        assert_eq!(rig.session.available(), 1);
        rig.frame(5, "/", 2, b"y");
        assert_eq!(
            rig.violation(),
            Some(&Violation::ResponseWithoutRequest(ChannelId(2)))
        );
    }
}

#[test]
fn a_typed_request_that_has_begun_ends_with_cancel() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    let large = vec![1; 1_000_000];
    let call = rig.open("/t.S/M", typed(), chunks(large.chunks(20_000)));
    let mut out = Vec::new();
    rig.session.poll_transmit(&mut out);
    let before = decode_all(&out);
    assert!(
        before
            .iter()
            .all(|frame| frame.kind == if *frame == before[0] { 0 } else { 2 })
    );
    rig.release(call);
    assert_eq!(rig.sent(), [sent(3, "/", 2, request_data(0, &[6, 1, 0]))]);
    assert_eq!(rig.session.available(), 0, "an answer is owed");
    rig.frame(5, "/", 2, &response_data(0, &[5, 0]));
    assert_eq!(rig.session.available(), 1);
}

#[test]
fn a_raw_request_that_has_begun_goes_on() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    let large = vec![1; 300_000];
    let call = rig.open("/raw", OpenOptions::default(), payload(&large));
    let mut out = Vec::new();
    rig.session.poll_transmit(&mut out);
    let mut total: usize = decode_all(&out).iter().map(|frame| frame.data.len()).sum();
    assert!(total < 100_000);
    rig.release(call);
    let rest = rig.sent();
    total += rest.iter().map(|frame| frame.data.len()).sum::<usize>();
    assert_eq!((total, rest.last().unwrap().kind), (300_000, 3));
    rig.frame(5, "/", 2, b"y");
    assert_eq!(rig.session.available(), 1);
}

#[test]
fn a_raw_request_whose_sender_left_keeps_its_channel_until_it_is_answered() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    let call = rig.open("/frames", frames(), payload("begin"));
    assert_eq!(rig.sent(), [sent(0, "/frames", 2, "begin")]);
    rig.release(call);
    assert!(!rig.session.send(call, payload("x"), true));
    assert_eq!((rig.sent(), rig.session.available()), (vec![], 0));
    rig.frame(5, "/", 2, b"too slow");
    assert_eq!(rig.sent(), [sent(3, "/", 2, [0])]);
    assert_eq!(rig.session.available(), 1);
}

#[test]
fn a_plain_server_gets_one_frame_and_no_envelope() {
    let mut rig = ClientRig::plain(ClientConfig::default());
    let path = Path::from_static("/t.S/M");
    let opened = rig.session.open(&path, frames(), payload("x"), rig.now);
    assert!(matches!(opened, Err(OpenError::TooLarge)));
    let large = vec![0; 16 * 1024 * 1024 + 1];
    let opened = rig.session.open(&path, typed(), payload(&large), rig.now);
    assert!(matches!(opened, Err(OpenError::TooLarge)));
    rig.open("/t.S/M", typed(), payload(&large[1..]));
    let frames = rig.sent();
    assert_eq!(
        (frames.len(), frames[0].kind, frames[0].data.len()),
        (1, 1, 16 << 20)
    );
}

#[test]
fn a_request_of_several_frames() {
    let mut rig = native();
    let large: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    rig.open("/raw?q", OpenOptions::default(), payload(&large));
    let frames = rig.sent();
    let shape: Vec<_> = frames
        .iter()
        .map(|frame| (frame.kind, &frame.path[..], frame.data.len()))
        .collect();
    assert_eq!(
        shape,
        [
            (0, "/raw?q", 32_768),
            (2, "/", 32_768),
            (2, "/", 32_768),
            (3, "/", 1696)
        ]
    );
    assert_eq!(
        frames
            .iter()
            .flat_map(|frame| frame.data.clone())
            .collect::<Vec<_>>(),
        large
    );

    let call = rig.open(
        "/t.S/M",
        OpenOptions {
            more: true,
            ..typed()
        },
        chunks([&b"a"[..], b"b"]),
    );
    assert!(rig.session.send(call, payload("c"), false));
    assert!(rig.session.send(call, payload(""), true));
    assert!(
        !rig.session.send(call, payload("d"), true),
        "the request is complete"
    );
    let data = |text: &str| request_data(0, text.as_bytes());
    assert_eq!(
        rig.sent(),
        [
            sent(0, "/t.S/M", 3, data("a")),
            // What is small and waits together shares a frame.
            sent(3, "/", 3, data("bc")),
        ]
    );
    // Of the first request. Of the second so little was queued that no sender waits.
    assert!(matches!(rig.events()[..], [ClientEvent::Writable { call: of }] if of != call));
}

/// Whether each of some calls may have run, for every number of bytes the socket can have accepted.
fn known(rig: &mut ClientRig, calls: &[CallId]) -> Vec<Vec<bool>> {
    let mut out = Vec::new();
    while rig.session.has_output() {
        rig.session.poll_transmit(&mut out);
    }
    let mut known = vec![
        calls
            .iter()
            .map(|call| rig.session.may_have_run(*call))
            .collect(),
    ];
    for _ in 0..out.len() {
        rig.session.written(1);
        known.push(
            calls
                .iter()
                .map(|call| rig.session.may_have_run(*call))
                .collect(),
        );
    }
    known
}

#[test]
fn a_call_may_have_run_from_the_last_byte_of_its_request_on() {
    let mut rig = native();
    let one = rig.raw(b"x");
    let two = rig.typed(&[2, 0]);
    let first = encode(1, "/raw", 2, b"x").len();
    let both = first + encode(1, "/t.S/M", 3, &request_data(0, &[2, 0])).len();
    let known = known(&mut rig, &[one, two]);
    assert_eq!(known.len(), both + 1);
    for (count, known) in known.into_iter().enumerate() {
        assert_eq!(known, [count >= first, count >= both], "{count} bytes");
    }
}

#[test]
fn of_several_frames_the_last_counts_for_a_typed_call_and_the_first_for_others() {
    let large = vec![1; 100_000];
    let mut rig = native();
    let whole = rig.open("/t.S/M", typed(), chunks(large.chunks(20_000)));
    let raw = rig.open("/raw", OpenOptions::default(), payload(&large));
    let open = rig.open(
        "/t.S/M",
        OpenOptions {
            more: true,
            ..typed()
        },
        chunks(large.chunks(20_000)),
    );
    let mut out = Vec::new();
    while rig.session.has_output() {
        rig.session.poll_transmit(&mut out);
    }
    let mut ends = std::collections::HashMap::new();
    let mut at = 0;
    for frame in decode_all(&out) {
        at += encode(frame.kind, &frame.path, frame.channel, &frame.data).len();
        ends.entry((frame.channel, frame.kind)).or_insert(at);
    }
    let expected = [
        ends[&(whole.channel.0, 3)],
        ends[&(raw.channel.0, 0)],
        ends[&(open.channel.0, 0)],
    ];
    for (call, end) in [whole, raw, open].into_iter().zip(expected) {
        let mut rig = native();
        rig.open("/t.S/M", typed(), chunks(large.chunks(20_000)));
        rig.open("/raw", OpenOptions::default(), payload(&large));
        rig.open(
            "/t.S/M",
            OpenOptions {
                more: true,
                ..typed()
            },
            chunks(large.chunks(20_000)),
        );
        let known = known(&mut rig, &[call]);
        let first = known.iter().position(|known| known[0]);
        assert_eq!(first, Some(end), "channel {}", call.channel);
    }
}

#[test]
fn nothing_may_have_run_that_is_queued_or_over() {
    let mut rig = native();
    let call = rig.open("/raw", OpenOptions::default(), payload([0; 100_000]));
    rig.session.written(1000);
    assert!(!rig.session.may_have_run(call));
    let all = rig.session.unanswered();
    assert_eq!(all, [(call.channel, false)]);
    rig.release(call);
    assert!(rig.session.unanswered().is_empty());
}

#[test]
fn a_closing_client_waits_for_every_answer() {
    let mut rig = native();
    let call = rig.raw(b"x");
    let given_up = rig.raw(b"x");
    rig.sent();
    rig.release(given_up);
    rig.session.close();
    assert!(rig.session.is_draining() && rig.session.available() == 0);
    let path = Path::from_static("/raw");
    let opened = rig
        .session
        .open(&path, OpenOptions::default(), payload("x"), rig.now);
    assert!(matches!(opened, Err(OpenError::Closed(payload)) if payload.len() == 1));
    rig.frame(5, "/", 2, b"y");
    rig.release(call);
    assert_eq!(rig.session.ended(), None);
    rig.frame(5, "/", 3, b"y");
    assert_eq!(rig.session.ended(), Some(&Ended::Locally));
    let mut idle = native();
    idle.session.close();
    assert_eq!(idle.session.ended(), Some(&Ended::Locally));
}

#[test]
fn what_ends_a_session_first_is_why_it_ended() {
    let mut rig = native();
    rig.session.handle_eof();
    rig.session.end(Ended::Idle);
    rig.feed(&[99]);
    assert_eq!(rig.session.ended(), Some(&Ended::ByPeer));
    assert!(rig.session.has_events());
    rig.session.shrink();
}

#[test]
fn an_empty_part_of_a_raw_request_is_not_sent() {
    let mut rig = native();
    let call = rig.open("/frames", frames(), payload("a"));
    assert!(rig.session.send(call, payload(""), false));
    assert!(rig.session.send(call, payload("b"), true));
    let kinds: Vec<_> = rig.sent().iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [0, 3]);
}
