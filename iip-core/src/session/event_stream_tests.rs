//! `/sys/events`: pings, draining, GOAWAY.

use super::control::{ConnectionEvent, encode_goaway};
use super::rig_tests::*;
use super::*;
use crate::wire::{ChannelId, FrameKind};

const PING: [u8; 10] = [18, 8, 1, 2, 3, 4, 5, 6, 7, 8];
const PONG: [u8; 10] = [19, 8, 1, 2, 3, 4, 5, 6, 7, 8];

fn goaway(code: u64, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode_goaway(&mut out, code, 0, 0, text);
    out
}

fn tell_server(rig: &mut ServerRig, records: &[u8]) {
    rig.frame(2, "/", 1, &request_data(0, records));
}

fn tell_client(rig: &mut ClientRig, records: &[u8]) {
    rig.frame(6, "/", 1, &response_data(0, records));
}

fn native() -> ClientRig {
    ClientRig::native(ClientConfig::default(), 4)
}

#[test]
fn the_stream_is_opened_by_a_native_client_once() {
    let mut rig = ServerRig::plain(Limits::default(), 4);
    rig.frame(0, "/sys/events", 1, &request_data(0, &[]));
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 102);
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/sys/events", 1, &request_data(0, &[]));
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 102);
    rig.frame(0, "/sys/events", 2, &request_data(0xff, &PING));
    assert_eq!(
        rig.sent(),
        [
            sent(4, "/", 2, response_data(0xff, &[])),
            sent(6, "/", 2, response_data(0xff, &PONG))
        ]
    );
    rig.frame(0, "/sys/events", 3, &request_data(0, &[]));
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 102);
    assert_eq!((rig.session.in_flight(), rig.session.ended()), (0, None));
}

#[test]
fn a_stream_that_does_not_begin_with_the_envelope_is_a_violation() {
    for data in [&b"{}"[..], &response_data(0, &[]), &[0x0f, 0, 0]] {
        let mut rig = ServerRig::native(Limits::default(), 4);
        rig.frame(0, "/sys/events", 1, data);
        assert_eq!(
            rig.violation(),
            Some(&Violation::WrongEnvelope(ChannelId(1)))
        );
        let mut rig = ServerRig::with_events(Limits::default(), 4);
        rig.frame(2, "/", 1, data);
        assert_eq!(
            rig.violation(),
            Some(&Violation::WrongEnvelope(ChannelId(1)))
        );
    }
    let mut rig = native();
    rig.frame(6, "/", 1, &response_data(1, &[]));
    assert_eq!(
        rig.violation(),
        Some(&Violation::WrongEnvelope(ChannelId(1)))
    );
}

#[test]
fn pings_are_answered_at_once() {
    let mut server = ServerRig::with_events(Limits::default(), 4);
    tell_server(&mut server, &PING);
    assert_eq!(server.sent(), [sent(6, "/", 1, response_data(0, &PONG))]);
    let mut client = native();
    tell_client(&mut client, &PING);
    assert_eq!(client.sent(), [sent(2, "/", 1, request_data(0, &PONG))]);
    // Also behind a bulk transfer, of which only what was handed out already goes first.
    server.frame(1, "/raw", 2, b"x");
    let call = server.call();
    server.answer(call, vec![0; 1_000_000]);
    tell_server(&mut server, &PING);
    assert_eq!(server.sent()[0], sent(6, "/", 1, response_data(0, &PONG)));
}

#[test]
fn a_long_life_of_pings_is_no_flood_of_tiny_frames() {
    let mut server = ServerRig::with_events(Limits::default(), 4);
    let mut client = native();
    for _ in 0..1000 {
        server.now += SECOND * 10;
        client.now += SECOND * 10;
        tell_server(&mut server, &PING);
        tell_client(&mut client, &PONG);
        tell_client(&mut client, &PING);
    }
    assert_eq!(
        (server.session.ended(), client.session.ended()),
        (None, None)
    );
}

#[test]
fn a_flood_of_pings_is_a_violation() {
    let limits = || Limits::default().control_burst(10).control_rate(2);
    let mut server = ServerRig::with_events(limits(), 4);
    let mut client = ClientRig::native(ClientRig::with_limits(limits()), 4);
    for _ in 0..10 {
        tell_server(&mut server, &PING);
        tell_client(&mut client, &PING);
    }
    server.now += SECOND * 2;
    client.now += SECOND * 2;
    for _ in 0..4 {
        tell_server(&mut server, &PING);
        tell_client(&mut client, &PING);
    }
    assert_eq!(
        (server.session.ended(), client.session.ended()),
        (None, None)
    );
    tell_server(&mut server, &PING);
    tell_client(&mut client, &PING);
    assert!(
        matches!(server.violation(), Some(Violation::Flood(what)) if what.contains("control_rate"))
    );
    assert!(
        matches!(client.violation(), Some(Violation::Flood(what)) if what.contains("control_rate"))
    );
}

#[test]
fn a_flood_of_channel_requests_is_a_violation() {
    let mut rig = ServerRig::new(Limits::default().control_burst(10).control_rate(2));
    for _ in 0..5 {
        rig.frame(1, "/sys/new_channel", 0, b"{}");
        rig.frame(1, "/sys/delete_channel", 0, b"{}");
    }
    assert_eq!(rig.session.ended(), None);
    rig.frame(1, "/sys/delete_channel", 0, b"{}");
    assert!(matches!(rig.violation(), Some(Violation::Flood(_))));
    assert_eq!(rig.violation().unwrap().code(), 2);
}

#[test]
fn what_is_not_known_is_skipped_or_refused() {
    for (records, ok) in [
        (&[16u8, 3, 1, 2, 3][..], true),
        (&[17, 2, 1, 2], true),
        (&[21, 0], true),
        (&[0x80, 2, 1, 2], true),
        (&[0xff, 0], true),
        (&[15, 0], false),
        (&[22, 0], false),
        (&[1, 0], false),
        (&[18, 7, 1, 2, 3, 4, 5, 6, 7], false),
        (&[19, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9], false),
        (&[20, 0], false),
        (&[20, 2, 1, 0], false),
        (&[18, 8, 1], false),
        (&[18], false),
    ] {
        let mut server = ServerRig::with_events(Limits::default(), 4);
        let mut client = native();
        tell_server(&mut server, records);
        tell_client(&mut client, records);
        let expected = (!ok).then_some(Violation::BadEvent);
        assert_eq!(server.violation(), expected.as_ref(), "server {records:?}");
        assert_eq!(client.violation(), expected.as_ref(), "client {records:?}");
    }
}

#[test]
fn an_event_that_is_too_large_is_a_violation() {
    let mut rig = native();
    rig.feed(&encode_head(6, "/", 1, 16 << 20));
    assert_eq!(rig.violation(), Some(&Violation::BadEvent));
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.feed(&encode_head(2, "/", 1, 16 << 20));
    assert_eq!(
        rig.violation(),
        Some(&Violation::WrongEnvelope(ChannelId(1)))
    );
}

#[test]
fn a_draining_server_tells_and_serves_on() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"before");
    let before = rig.call();
    assert!(!rig.session.is_draining() && !rig.session.is_drained(rig.now));
    rig.session.drain(None, rig.now);
    rig.session.drain(None, rig.now);
    assert!(rig.session.is_draining());
    let told = rig.sent();
    assert_eq!((told.len(), told[0].kind), (1, 6));
    let events = ConnectionEvent::parse(told[0].records().1).unwrap();
    assert!(matches!(
        &events[..],
        [ConnectionEvent::GoAway { code: 0, .. }]
    ));
    // A request that crossed the news is served.
    rig.frame(1, "/raw", 3, b"crossed");
    let crossed = rig.call();
    tell_server(&mut rig, &[21, 0]);
    rig.answer(crossed, "y");
    assert!(!rig.session.is_drained(rig.now), "one call is in flight");
    rig.answer(before, "y");
    assert!(rig.session.is_drained(rig.now));
    rig.sent();
    rig.session.finish();
    rig.session.finish();
    assert_eq!(rig.sent(), [sent(7, "/", 1, response_data(0, &[]))]);
    // What comes after is refused, not lost; nothing more is said on the stream.
    rig.frame(1, "/t.S/M", 2, &request_data(0, &[]));
    rig.frame(0, "/raw", 3, b"x");
    tell_server(&mut rig, &PING);
    let refused = rig.sent();
    assert_eq!(refused.len(), 2);
    assert!(
        refused
            .iter()
            .all(|frame| ErrorReply::parse(&frame.data).unwrap().code == 110)
    );
    rig.feed(&[99]);
    assert!(rig.violation().is_some());
    assert!(rig.sent().is_empty());
}

#[test]
fn a_connection_is_not_drained_before_it_is_acknowledged() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.session.drain(None, rig.now);
    rig.now += SECOND * 100;
    assert!(!rig.session.is_drained(rig.now));
    tell_server(&mut rig, &[21, 0]);
    assert!(rig.session.is_drained(rig.now));
    // Nor while a request is arriving, or waiting.
    rig.frame(0, "/raw", 2, b"x");
    assert!(!rig.session.is_drained(rig.now));
    rig.frame(3, "/raw", 2, b"x");
    rig.frame(1, "/raw", 2, b"x");
    let call = rig.call();
    rig.answer(call, "y");
    assert!(!rig.session.is_drained(rig.now));
    let call = rig.call();
    rig.answer(call, "y");
    assert!(rig.session.is_drained(rig.now));
}

#[test]
fn a_plain_connection_is_drained_when_it_is_quiet() {
    let mut rig = ServerRig::plain(Limits::default(), 2);
    rig.frame(1, "/raw", 1, b"x");
    rig.session.drain(None, rig.now);
    assert!(rig.sent().is_empty(), "a plain client cannot be told");
    let call = rig.call();
    rig.answer(call, "y");
    assert!(!rig.session.is_drained(rig.now));
    assert!(!rig.session.is_drained(rig.now + SECOND / 11));
    assert!(rig.session.is_drained(rig.now + SECOND / 10));
    rig.session.finish();
    rig.sent();
    rig.frame(1, "/raw", 1, b"x");
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 110);
}

#[test]
fn a_stream_opened_while_draining_hears_of_it() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.session.drain(None, rig.now);
    rig.frame(0, "/sys/events", 1, &request_data(0, &[]));
    let kinds: Vec<_> = rig
        .sent()
        .iter()
        .map(|frame| (frame.kind, frame.data.len() > 4))
        .collect();
    assert_eq!(kinds, [(4, false), (6, true)]);
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.session.drain(None, rig.now);
    rig.session.finish();
    rig.frame(0, "/sys/events", 1, &request_data(0, &[]));
    let kinds: Vec<_> = rig
        .sent()
        .iter()
        .map(|frame| (frame.kind, frame.data.len() > 4))
        .collect();
    assert_eq!(kinds, [(4, false), (7, false)]);
    rig.frame(1, "/raw", 2, b"x");
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 110);
}

#[test]
fn a_client_may_end_the_stream() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.frame(3, "/", 1, &request_data(0, &[]));
    assert_eq!(rig.sent(), [sent(7, "/", 1, response_data(0, &[]))]);
    assert!(rig.session.is_draining() && rig.session.is_drained(rig.now));
}

#[test]
fn a_client_hears_of_draining_and_acknowledges_once() {
    let mut rig = native();
    let call = rig.raw(b"x");
    rig.sent();
    tell_client(&mut rig, &goaway(0, "bye"));
    tell_client(&mut rig, &goaway(0, "bye"));
    assert!(matches!(rig.events()[..], [ClientEvent::Draining]));
    assert_eq!(rig.sent(), [sent(2, "/", 1, request_data(0, &[21, 0]))]);
    assert_eq!((rig.session.available(), rig.session.ended()), (0, None));
    // What is in flight is answered still; then the stream ends.
    rig.frame(5, "/", 2, b"y");
    assert_eq!(rig.responses()[0].0, call);
    rig.frame(7, "/", 1, &response_data(0, &[]));
    assert!(rig.events().is_empty() && rig.session.ended().is_none());

    let mut rig = native();
    rig.frame(7, "/", 1, &response_data(0, &[]));
    assert!(
        matches!(rig.events()[..], [ClientEvent::Draining]),
        "a stream that ends is a server that stops"
    );
}

#[test]
fn goaway_says_why() {
    let mut rig = native();
    let long = "x".repeat(300);
    tell_client(&mut rig, &goaway(1, &long));
    let Some(Ended::GoAway { code: 1, text }) = rig.session.ended() else {
        panic!("{:?}", rig.session.ended());
    };
    assert_eq!(text.len(), 256);
    let mut rig = native();
    tell_client(&mut rig, &[20, 5, 2, 0, 0, 0x1b, 0xff]);
    let text = rig.session.ended().unwrap().to_string();
    assert!(
        text.contains("code 2") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn a_protocol_error_is_told_before_the_end() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.frame(3, "/raw", 4, b"x");
    let frames = rig.sent();
    assert_eq!((frames.len(), frames[0].kind, frames[0].channel), (1, 6, 1));
    let (_, records) = frames[0].records();
    assert_eq!((records[0], &records[2..5]), (20, &[1, 4, 0][..]));
    assert!(
        String::from_utf8_lossy(records).ends_with("frame kind 3 is not allowed now on channel 4")
    );

    let mut rig = native();
    rig.feed(&[9]);
    let frames = rig.sent();
    assert_eq!((frames.len(), frames[0].kind, frames[0].channel), (1, 2, 1));
    let (_, records) = frames[0].records();
    assert_eq!((records[0], &records[2..5]), (20, &[1, 0, 0][..]));
    // Nothing can be said to a plain peer, or before the stream is open.
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.feed(&[9]);
    assert!(rig.sent().is_empty());
}

#[test]
fn violations_have_numbers_channels_and_texts() {
    let channel = ChannelId(300);
    for (violation, code, of, part) in [
        (
            Violation::Wire(crate::wire::WireError::EmptyData),
            1,
            0,
            "no data",
        ),
        (
            Violation::UnexpectedKind {
                kind: FrameKind::RequestLast,
                channel,
            },
            1,
            300,
            "kind 3",
        ),
        (Violation::UnknownChannel(channel), 1, 300, "never granted"),
        (
            Violation::ResponseWithoutRequest(channel),
            1,
            300,
            "none is owed",
        ),
        (Violation::WrongPath(channel), 1, 300, "another path"),
        (Violation::WrongEnvelope(channel), 1, 300, "does not belong"),
        (Violation::BadEvent, 1, 0, "/sys/events"),
        (Violation::BadControl, 1, 0, "/sys request"),
        (Violation::Flood("pings"), 2, 0, "too many pings"),
        (Violation::Slow("a header"), 3, 0, "a header took too long"),
        (Violation::OutputFull, 2, 0, "does not read"),
        (Violation::Endless(channel), 2, 300, "does not end"),
    ] {
        let text = violation.to_string();
        assert!(text.contains(part), "{text}");
        assert_eq!(
            (violation.code(), violation.channel()),
            (code, ChannelId(of))
        );
        let ended = Ended::Violation(violation).to_string();
        assert!(ended.starts_with("protocol error: ") && ended.contains(&text));
    }
    for (ended, part) in [
        (Ended::ByPeer, "the peer closed"),
        (Ended::Locally, "on this side"),
        (Ended::Idle, "idle"),
        (Ended::Io(std::io::ErrorKind::BrokenPipe), "broken pipe"),
        (Ended::Version { ours: 1, theirs: 2 }, "version"),
        (Ended::Silent("a ping"), "a ping"),
    ] {
        assert!(ended.to_string().contains(part), "{ended}");
    }
}

#[test]
fn the_stream_does_not_overtake_a_response_on_its_channel() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"hi");
    let call = rig.call();
    let answer = chunks([&b"first"[..], b"second"]);
    assert!(rig.session.respond(call, answer));
    // Answered, but not on its way yet.
    rig.frame(0, "/sys/events", 2, &request_data(0, &[]));
    let sent = rig.sent();
    let kinds: Vec<_> = sent.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [4, 7, 5]);
    assert_eq!(ErrorReply::parse(&sent[2].data).unwrap().code, 102);
}
