//! Calls that are given up, in every state, and credit between sessions.

use bytes::Bytes;

use super::rig_tests::*;
use super::*;
use crate::wire::ChannelId;
use crate::wire::record::{RecordKind, encode_header, encode_varint};

const TRAILER: &[u8] = &[5, 2, 8, 1];

fn event(kind: u8, numbers: &[u64]) -> Vec<u8> {
    let payload: Vec<u8> = numbers
        .iter()
        .flat_map(|number| encode_varint(*number).to_vec())
        .collect();
    [&[kind, payload.len() as u8][..], &payload].concat()
}

fn cancel(channel: u64, seq: u64) -> Vec<u8> {
    request_data(0, &event(17, &[channel, seq]))
}

fn window(channel: u64, seq: u64, bytes: u64) -> Vec<u8> {
    event(16, &[channel, seq, bytes])
}

fn message(length: usize) -> Vec<u8> {
    let header = encode_header(RecordKind::MESSAGE, length as u64);
    [&header[..], &vec![7; length]].concat()
}

fn start(total: u64, length: usize) -> Vec<u8> {
    let total = encode_varint(total);
    let header = encode_header(RecordKind::MESSAGE_START, (total.len() + length) as u64);
    [&header[..], &total, &vec![7; length]].concat()
}

fn part(length: usize) -> Vec<u8> {
    let header = encode_header(RecordKind::MESSAGE_PART, length as u64);
    [&header[..], &vec![7; length]].concat()
}

fn chunk(records: Vec<u8>) -> Chunk {
    Chunk::new(&[], Bytes::from(records))
}

/// Answers what was given up, as the driver does; returns whether there was such a call.
fn settle(rig: &mut ServerRig) -> usize {
    let mut settled = 0;
    for event in rig.events() {
        if let ServerEvent::Cancelled { call, .. } = event {
            settled += usize::from(rig.session.abort(call, payload(TRAILER)));
        }
    }
    settled
}

fn server() -> ServerRig {
    let mut rig = ServerRig::with_events(Limits::default(), 8);
    rig.sent();
    rig.events();
    rig
}

/// On the event stream, which is on channel 1.
fn tell(rig: &mut ServerRig, data: &[u8]) {
    rig.frame(2, "/", 1, data);
}

#[test]
fn a_call_in_progress_is_cancelled_and_answered_once() {
    let mut rig = server();
    rig.frame(1, "/t.S/M", 2, &request_data(3, &message(1)));
    let call = rig.call();
    // Others are not meant: no such channel, another sequence number, a raw call.
    rig.frame(1, "/raw", 3, b"x");
    let raw = rig.call();
    for (channel, seq) in [
        (2, 2),
        (2, 4),
        (3, 0),
        (7, 3),
        (99, 3),
        (1 << 40, 3),
        (2, 1 << 20),
    ] {
        tell(&mut rig, &cancel(channel, seq));
        assert!(rig.events().is_empty());
    }
    tell(&mut rig, &cancel(2, 3));
    tell(&mut rig, &cancel(2, 3));
    assert_eq!(settle(&mut rig), 1);
    assert_eq!(rig.sent(), [sent(5, "/", 2, response_data(3, TRAILER))]);
    assert!(!rig.session.is_owed(call) && rig.session.is_owed(raw));
    // It is over.
    tell(&mut rig, &cancel(2, 3));
    assert!(rig.events().is_empty() && rig.sent().is_empty());
    assert!(!rig.session.respond(call, payload("late")));
    assert_eq!(rig.session.ended(), None);
}

#[test]
fn a_request_under_assembly_or_queued_is_answered_and_never_begins() {
    let mut rig = server();
    // In its last frame.
    rig.frame(0, "/t.S/M", 2, &request_data(0, &start(100, 10)));
    rig.frame(3, "/", 2, &request_data(0, &[6, 1, 0]));
    assert_eq!(settle(&mut rig), 1);
    assert_eq!(rig.sent(), [sent(5, "/", 2, response_data(0, TRAILER))]);
    // On the event stream; the rest is read past.
    rig.frame(0, "/t.S/M", 2, &request_data(1, &start(100, 10)));
    tell(&mut rig, &cancel(2, 1));
    assert_eq!(settle(&mut rig), 1);
    assert_eq!(rig.sent(), [sent(5, "/", 2, response_data(1, TRAILER))]);
    rig.frame(3, "/", 2, &request_data(1, &part(90)));
    // Behind another one on its channel.
    rig.frame(1, "/t.S/M", 2, &request_data(2, &message(1)));
    let first = rig.call();
    rig.frame(1, "/t.S/M", 2, &request_data(3, &message(20_000)));
    assert!(rig.session.held() > 20_000);
    tell(&mut rig, &cancel(2, 3));
    assert_eq!((settle(&mut rig), rig.session.held()), (0, 0));
    rig.answer(first, "1");
    assert_eq!(settle(&mut rig), 1, "in its turn");
    let frames = rig.sent();
    assert_eq!(frames[1], sent(5, "/", 2, response_data(3, TRAILER)));
    assert_eq!(rig.session.in_flight(), 0);
}

#[test]
fn a_stream_is_cancelled_in_its_last_frame_or_later() {
    let mut rig = server();
    rig.frame(0, "/t.S/F", 2, &request_data(0, &message(1)));
    let call = rig.call();
    assert!(rig.session.push(call, chunk(message(5)), false));
    rig.sent();
    rig.frame(3, "/", 2, &request_data(0, &[6, 1, 0]));
    assert_eq!(settle(&mut rig), 1);
    assert_eq!(rig.sent(), [sent(7, "/", 2, response_data(0, TRAILER))]);
    // Its response waits for credit: what waits is dropped.
    rig.frame(1, "/t.S/F", 2, &request_data(1, &message(1)));
    let call = rig.call();
    for _ in 0..4 {
        assert!(rig.session.push(call, chunk(message(16_000)), false));
    }
    let kinds: Vec<_> = rig.sent().iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [4, 6]);
    assert!(rig.session.unsent(call) > 32_000 && !rig.session.has_output());
    tell(&mut rig, &cancel(2, 1));
    assert_eq!(settle(&mut rig), 1);
    assert_eq!(rig.sent(), [sent(7, "/", 2, response_data(1, TRAILER))]);
    // The same when the handler had said all of it.
    rig.frame(1, "/t.S/F", 2, &request_data(2, &message(1)));
    let call = rig.call();
    for last in [false, false, false, true] {
        assert!(rig.session.push(call, chunk(message(16_000)), last));
    }
    rig.sent();
    tell(&mut rig, &cancel(2, 2));
    assert_eq!(settle(&mut rig), 0);
    assert_eq!(rig.sent(), [sent(7, "/", 2, response_data(2, b""))]);
    // And when the request is still open, but was answered.
    rig.frame(0, "/t.S/F", 2, &request_data(3, &message(1)));
    let call = rig.call();
    for last in [false, false, false, true] {
        assert!(rig.session.push(call, chunk(message(16_000)), last));
    }
    rig.sent();
    rig.frame(3, "/", 2, &request_data(3, &[6, 1, 0]));
    assert_eq!(rig.sent(), [sent(7, "/", 2, response_data(3, b""))]);
    assert_eq!((rig.session.held(), rig.session.in_flight()), (0, 0));
}

#[test]
fn cancellations_are_charged_against_calls() {
    let mut rig = server();
    for seq in 0..1000u16 {
        rig.frame(1, "/t.S/M", 2, &request_data(seq, &message(1)));
        tell(&mut rig, &cancel(2, u64::from(seq)));
        assert_eq!(settle(&mut rig), 1);
    }
    rig.sent();
    assert_eq!(rig.session.ended(), None);
    for _ in 0..99 {
        tell(&mut rig, &cancel(9, 9));
    }
    assert_eq!(rig.session.ended(), None);
    for _ in 0..10 {
        tell(&mut rig, &cancel(9, 9));
    }
    assert_eq!(rig.violation(), Some(&Violation::Flood("cancellations")));
}

fn client() -> ClientRig {
    ClientRig::native(ClientConfig::default(), 4)
}

#[test]
fn who_gives_up_a_complete_request_tells_the_server() {
    let mut rig = client();
    let call = rig.typed(b"x");
    rig.sent();
    rig.release(call);
    assert_eq!(rig.sent(), [sent(2, "/", 1, cancel(2, 0))]);
    rig.frame(5, "/", 2, &response_data(0, TRAILER));
    assert_eq!(rig.session.available(), 3);
    // Never ahead of the request.
    let call = rig.typed(b"x");
    rig.release(call);
    let channels: Vec<_> = rig.sent().iter().map(|frame| frame.channel).collect();
    assert_eq!(channels, [2, 1]);
    rig.frame(5, "/", 2, &response_data(1, TRAILER));
    // Not a raw one, and not one that was answered.
    let call = rig.typed(b"x");
    let raw = rig.raw(b"x");
    rig.sent();
    rig.frame(5, "/", call.channel.0, &response_data(2, TRAILER));
    rig.release(call);
    rig.release(raw);
    assert!(rig.sent().is_empty());
}

#[test]
fn who_gives_up_what_was_not_sent_says_nothing() {
    let mut rig = client();
    let options = OpenOptions {
        more: true,
        ..typed()
    };
    let call = rig.open("/t.S/F", options, payload(message(5)));
    assert_eq!(rig.session.cancel_request(call), Cancelled::Withdrawn);
    rig.release(call);
    assert!(rig.sent().is_empty());
    assert_eq!(rig.session.available(), 3);
    let call = rig.open("/t.S/F", options, payload(message(5)));
    rig.sent();
    assert_eq!(rig.session.cancel_request(call), Cancelled::Told);
    assert_eq!(rig.session.cancel_request(call), Cancelled::No);
    assert_eq!(rig.sent(), [sent(3, "/", 2, request_data(1, &[6, 1, 0]))]);
    assert!(!rig.session.push(call, chunk(message(1)), false));
}

/// What is encoded goes out, whether its call has expired or not.
#[test]
fn what_expires_may_have_run_unless_it_was_taken_back() {
    let mut rig = client();
    let call = rig.typed(b"x");
    assert!(!rig.session.may_have_run(call), "it was not written yet");
    assert!(rig.session.expire(call));
    rig.release(call);
    assert_eq!(rig.sent().len(), 2, "the request, and its CANCEL");
    rig.frame(5, "/", call.channel.0, &response_data(0, TRAILER));
    // Taken back: nothing of it goes out.
    let call = rig.open("/t.S/M", typed(), chunks([&message(9)[..]]));
    assert!(!rig.session.expire(call));
    rig.release(call);
    assert!(rig.sent().is_empty());
    // A handler that gets it whole never sees what is cut short; one that gets it in parts does.
    for (path, more, runs) in [("/t.S/M", false, false), ("/t.S/F", true, true)] {
        let options = OpenOptions { more, ..typed() };
        let parts = [
            chunk(start(100_000, 16_000)),
            chunk(part(16_000)),
            chunk(part(16_000)),
        ];
        let call = rig.open(path, options, Payload::from(parts.to_vec()));
        assert_eq!(rig.sent().len(), 2, "the third waits for credit");
        assert_eq!(rig.session.expire(call), runs);
        let last = rig.sent();
        assert_eq!((last.len(), last[0].kind), (1, 3));
        rig.release(call);
        rig.sent();
    }
    // Raw requests cannot be cut short.
    let raw = rig.raw(b"x");
    assert!(rig.session.expire(raw));
}

#[test]
fn the_server_is_told_once_that_nobody_waits() {
    type GiveUp = fn(&mut ClientRig, CallId);
    let ways: [GiveUp; 3] = [
        |rig, call| assert!(rig.session.expire(call)),
        |rig, call| assert_eq!(rig.session.cancel_request(call), Cancelled::Told),
        |_, _| {},
    ];
    for give_up in ways {
        for written in [false, true] {
            let mut rig = client();
            let options = OpenOptions {
                more: true,
                ..typed()
            };
            let call = rig.open("/t.S/F", options, payload(message(5)));
            rig.sent();
            give_up(&mut rig, call);
            let mut frames = if written { rig.sent() } else { Vec::new() };
            rig.release(call);
            frames.extend(rig.sent());
            assert_eq!(frames, [sent(3, "/", 2, request_data(0, &[6, 1, 0]))]);
            // The channel is free with the answer, and its next call is cancelled as any other.
            rig.frame(5, "/", 2, &response_data(0, TRAILER));
            let call = rig.typed(b"x");
            assert_eq!(call.channel, ChannelId(2));
            rig.sent();
            rig.release(call);
            assert_eq!(rig.sent(), [sent(2, "/", 1, cancel(2, 1))]);
        }
    }
}

#[test]
fn a_request_waits_for_credit_and_others_do_not() {
    let mut rig = client();
    let options = OpenOptions {
        more: true,
        ..typed()
    };
    let call = rig.open("/t.S/F", options, payload([]));
    for _ in 0..4 {
        assert!(rig.session.push(call, chunk(message(16_000)), false));
    }
    let frames = rig.sent();
    assert_eq!(frames.len(), 3, "{} frames", frames.len());
    assert!(!rig.session.has_output());
    let other = rig.typed(b"x");
    assert_eq!(rig.sent()[0].channel, other.channel.0);
    // Too little, for another call, and enough.
    for (seq, bytes, count) in [
        (0, 100, 0),
        (1, 1 << 20, 0),
        (0, 15_999, 1),
        (0, 1 << 20, 1),
    ] {
        rig.frame(6, "/", 1, &response_data(0, &window(2, seq, bytes)));
        assert_eq!(rig.sent().len(), count, "{seq} {bytes}");
    }
    rig.frame(6, "/", 1, &response_data(0, &window(2, 0, i64::MAX as u64)));
    assert_eq!(rig.violation(), Some(&Violation::Overgrant(ChannelId(2))));
}

#[test]
fn a_grant_before_it_is_needed_is_not_lost() {
    let mut rig = server();
    rig.frame(1, "/t.S/F", 2, &request_data(0, &message(1)));
    let call = rig.call();
    tell(&mut rig, &request_data(0, &window(2, 0, 100_000)));
    for _ in 0..8 {
        assert!(rig.session.push(call, chunk(message(16_000)), false));
    }
    assert_eq!(rig.sent().len(), 8);
    assert!(rig.session.push(call, chunk(message(16_000)), true));
    assert!(rig.sent().is_empty());
}

#[test]
fn data_beyond_credit_is_a_violation() {
    let mut rig = server();
    rig.frame(0, "/t.S/F", 2, &request_data(0, &message(16_000)));
    rig.frame(2, "/", 2, &request_data(0, &message(16_000)));
    assert_eq!(rig.session.ended(), None);
    rig.frame(2, "/", 2, &request_data(0, &message(1_000)));
    assert_eq!(rig.violation(), Some(&Violation::Overrun(ChannelId(2))));
    // In one frame too.
    let mut rig = server();
    rig.frame(1, "/t.S/M", 2, &request_data(0, &message((32 << 10) - 64)));
    rig.call();
    rig.frame(1, "/t.S/M", 3, &request_data(0, &message((32 << 10) - 63)));
    assert_eq!(rig.violation(), Some(&Violation::Overrun(ChannelId(3))));
    let mut rig = client();
    let call = rig.typed(b"x");
    rig.sent();
    rig.frame(4, "/", 2, &response_data(0, &message(16_000)));
    rig.frame(6, "/", 2, &response_data(0, &message(17_000)));
    assert_eq!(rig.violation(), Some(&Violation::Overrun(call.channel)));
}

#[test]
fn a_large_message_is_granted_at_once_and_its_credit_given_back() {
    let mut rig = server();
    rig.frame(0, "/t.S/M", 2, &request_data(0, &start(1_000_000, 16_000)));
    let granted = 1_000_064 - (32 << 10);
    let expected = response_data(0, &window(2, 0, granted));
    assert_eq!(rig.sent(), [sent(6, "/", 1, expected)]);
    assert_eq!(rig.session.lent(), granted);
    for _ in 0..59 {
        rig.frame(2, "/", 2, &request_data(0, &part(16_384)));
    }
    rig.frame(3, "/", 2, &request_data(0, &part(17_344)));
    let call = rig.call();
    assert_eq!((rig.session.lent(), rig.session.held()), (0, 0));
    rig.answer(call, "1");
    rig.sent();
    // One that is too large fails at once, alone.
    rig.frame(0, "/t.S/M", 2, &request_data(1, &start(5 << 20, 100)));
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 111);
    assert_eq!(rig.session.lent(), 0);
}

#[test]
fn a_response_whose_message_is_too_large_fails_at_once_and_takes_no_credit() {
    // As large as the pool, and larger.
    for total in [5 << 20, 100 << 20] {
        let mut rig = client();
        let calls = [(); 2].map(|()| rig.open("/t.S/M", typed(), payload("x")));
        let [call, other] = calls;
        rig.sent();
        let (channel, next) = (call.channel.0, other.channel.0);
        rig.frame(4, "/", channel, &response_data(0, &start(total, 16_000)));
        let events = rig.events();
        assert!(
            matches!(events[..], [ClientEvent::TooLarge { call: of, budget: false, .. }] if of == call),
            "{events:?}"
        );
        rig.frame(6, "/", channel, &response_data(0, &part(16_000)));
        assert!(rig.sent().is_empty());
        assert_eq!((rig.session.lent(), rig.events().len()), (0, 0));
        // Nobody else waits for what it would have taken.
        rig.frame(4, "/", next, &response_data(0, &start(1 << 20, 16_000)));
        assert_eq!(rig.sent().len(), 1);
        assert!(rig.session.lent() > 0);
    }
}

#[test]
fn consumed_messages_are_granted_again() {
    let mut rig = server();
    rig.frame(0, "/t.S/F", 2, &request_data(0, &message(16_000)));
    let call = rig.call();
    assert_eq!(rig.session.held(), 16_064);
    rig.session.consumed(call, 16_064);
    assert!(rig.sent().is_empty());
    rig.frame(2, "/", 2, &request_data(0, &message(16_000)));
    rig.session.consumed(call, 16_064);
    let expected = response_data(0, &window(2, 0, 2 * 16_064));
    assert_eq!(rig.sent(), [sent(6, "/", 1, expected)]);
    assert_eq!(rig.session.held(), 0);
    // Nothing is granted to what is complete.
    rig.frame(3, "/", 2, &request_data(0, &message(16_000)));
    rig.session.consumed(call, 16_064);
    assert!(rig.sent().is_empty());
}

#[test]
fn grants_go_ahead_of_data() {
    let mut rig = client();
    let options = OpenOptions {
        delivery: Delivery::Frames,
        ..typed()
    };
    let call = rig.open("/t.S/F", options, payload("x"));
    rig.sent();
    rig.frame(4, "/", 2, &response_data(0, &message(16_000)));
    rig.frame(6, "/", 2, &response_data(0, &message(16_000)));
    rig.raw(&[0; 20_000]);
    let now = rig.now;
    rig.session.consumed(call, 2 * 16_064, now);
    let channels: Vec<_> = rig.sent().iter().map(|frame| frame.channel).collect();
    assert_eq!(channels, [1, 3]);
}

#[test]
fn replies_that_wait_for_credit_do_not_pause_reading() {
    let mut rig = server();
    for channel in 2..6 {
        rig.frame(1, "/t.S/M", channel, &request_data(0, &message(1)));
        let call = rig.call();
        let pieces: Vec<_> = std::iter::once(chunk(start(4_000_000, 16_000)))
            .chain((0..249).map(|_| chunk(part(16_000))))
            .collect();
        assert!(rig.session.respond(call, Payload::from(pieces)));
    }
    rig.sent();
    assert!(rig.session.wants_read() && !rig.session.has_output());
    rig.advance(10 * SECOND);
    assert_eq!(rig.session.ended(), None);
    // A single message of each frame needs no credit.
    rig.frame(1, "/t.S/M", 6, &request_data(0, &message(1)));
    let call = rig.call();
    rig.answer(call, message(100));
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn a_response_that_waits_for_credit_is_not_cut_by_a_drain() {
    let mut rig = server();
    rig.frame(1, "/t.S/M", 2, &request_data(0, &message(1)));
    let call = rig.call();
    let parts = [start(48_000, 16_000), part(16_000), part(16_000)];
    let response = Payload::from(parts.map(chunk).to_vec());
    assert!(rig.session.respond(call, response));
    rig.session.drain(None, rig.now);
    tell(&mut rig, &request_data(0, &[21, 0]));
    rig.sent();
    assert!(!rig.session.has_output() && !rig.session.is_drained(rig.now));
    tell(&mut rig, &request_data(0, &window(2, 0, 48_000)));
    assert_eq!(rig.sent()[0].kind, 7);
    assert!(rig.session.is_drained(rig.now));
}

#[test]
fn who_gets_no_credit_in_time_is_refused_before_it_began() {
    // Room for one message beyond the windows.
    let limits = Limits::default()
        .max_message(1 << 20)
        .receive_budget(1 << 20)
        .assembly_stall(5 * SECOND);
    let mut rig = ServerRig::with_events(limits, 8);
    rig.sent();
    rig.frame(0, "/t.S/F", 2, &request_data(0, &start(1 << 20, 100)));
    let call = rig.call();
    rig.frame(0, "/t.S/M", 3, &request_data(0, &start(1 << 20, 100)));
    let granted = rig.sent();
    assert_eq!(granted.len(), 1, "the second waits");
    rig.advance(5 * SECOND);
    let refused = rig.sent();
    assert_eq!(ErrorReply::parse(&refused[0].data).unwrap().code, 109);
    // One that waits goes on when there is room.
    rig.frame(0, "/t.S/M", 4, &request_data(0, &start(1 << 20, 100)));
    assert!(rig.sent().is_empty());
    assert!(rig.session.abort(call, payload(TRAILER)));
    let channels: Vec<_> = rig.sent().iter().map(|frame| frame.channel).collect();
    assert_eq!(channels, [1, 2], "a grant, and the answer");
}

#[test]
fn replies_that_wait_for_credit_are_bounded() {
    let limits = Limits::default().receive_budget(1 << 20);
    let mut rig = ServerRig::with_events(limits, 8);
    rig.sent();
    rig.frame(1, "/t.S/M", 2, &request_data(0, &message(1)));
    let call = rig.call();
    let pieces: Vec<_> = std::iter::once(chunk(start(1_200_000, 16_000)))
        .chain((0..74).map(|_| chunk(part(16_000))))
        .collect();
    assert!(rig.session.respond(call, Payload::from(pieces)));
    rig.sent();
    rig.frame(1, "/t.S/M", 3, &request_data(0, &message(1)));
    assert!(rig.events().is_empty());
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 109);
    // Once it is granted, calls are served again.
    tell(&mut rig, &request_data(0, &window(2, 0, 1 << 20)));
    while rig.session.has_output() {
        rig.sent();
    }
    rig.frame(1, "/t.S/M", 3, &request_data(1, &message(1)));
    rig.call();
}

#[test]
fn a_request_arrives_with_its_first_frame() {
    let mut rig = server();
    let arrives = rig.now;
    for path in ["/t.S/M", "/t.S/F"] {
        rig.now = arrives;
        rig.frame(0, path, 2, &request_data(0, &start(10, 5)));
        rig.now += 3 * SECOND;
        rig.frame(3, "/", 2, &request_data(0, &part(5)));
        let request = rig.events().into_iter().find_map(|event| match event {
            ServerEvent::Request { call, arrived, .. } => Some((call, arrived)),
            _ => None,
        });
        let (call, arrived) = request.unwrap();
        assert_eq!(arrived, arrives, "{path}");
        rig.answer(call, message(1));
        rig.sent();
    }
}
