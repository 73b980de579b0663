//! How a server ends a connection without losing a call: the grace, and what follows it.

use std::time::Duration;

use super::rig_tests::*;
use super::*;

/// What the events are about, in order.
fn ends(rig: &mut ServerRig) -> Vec<&'static str> {
    let name = |event| match event {
        ServerEvent::EndStreams => Some("streams"),
        ServerEvent::GraceOver => Some("grace"),
        _ => None,
    };
    rig.events().into_iter().filter_map(name).collect()
}

fn refusal(frame: &Sent) -> i64 {
    ErrorReply::parse(&frame.data).map_or(0, |reply| reply.code)
}

#[test]
fn streams_end_two_seconds_before_the_grace_or_at_half_of_it() {
    for (grace, notice) in [
        (30, Duration::from_secs(28)),
        (3, Duration::from_millis(1500)),
    ] {
        let mut rig = ServerRig::with_events(Limits::default(), 4);
        rig.frame(1, "/raw", 2, b"x");
        let call = rig.call();
        rig.session.drain(Some(SECOND * grace), rig.now);
        rig.frame(2, "/", 1, &request_data(0, &[21, 0]));
        rig.advance(notice - Duration::from_millis(1));
        assert!(ends(&mut rig).is_empty());
        rig.advance(Duration::from_millis(1));
        assert_eq!(ends(&mut rig), ["streams"]);
        rig.advance(SECOND * grace - notice);
        assert_eq!(ends(&mut rig), ["grace"]);
        assert!(!rig.session.is_drained(rig.now), "a call is in flight");
        rig.answer(call, "y");
        assert!(rig.session.is_drained(rig.now));
    }
}

#[test]
fn a_grace_can_be_made_shorter_but_not_longer() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"x");
    rig.call();
    rig.session.drain(Some(SECOND * 30), rig.now);
    rig.session.drain(Some(SECOND * 60), rig.now);
    rig.advance(SECOND);
    rig.session.drain(Some(SECOND * 2), rig.now);
    rig.advance(SECOND);
    assert_eq!(ends(&mut rig), ["streams"]);
    rig.advance(SECOND);
    assert_eq!(ends(&mut rig), ["grace"]);
    // Told again, it goes on as it is.
    rig.session.drain(Some(SECOND), rig.now);
    rig.advance(SECOND);
    assert!(ends(&mut rig).is_empty());
}

/// A client that has not acknowledged may have requests under way: they are refused, in their order, until 2 s later.
#[test]
fn what_comes_after_the_grace_is_refused() {
    let mut rig = ServerRig::with_events(Limits::default(), 6);
    rig.frame(1, "/raw", 2, b"x");
    let running = rig.call();
    // One waits behind it, and of another only the beginning is there.
    rig.frame(1, "/raw", 2, b"behind");
    rig.frame(0, "/t.S/M", 3, &request_data(0, &[1, 0]));
    rig.session.drain(Some(SECOND), rig.now);
    rig.sent();
    rig.advance(SECOND);
    assert_eq!(ends(&mut rig), ["streams", "grace"]);
    let early = rig.sent();
    assert_eq!(
        (early[0].channel, refusal(&early[0]), early.len()),
        (3, 110, 1)
    );
    rig.frame(1, "/raw", 4, b"late");
    let late = rig.sent();
    assert_eq!(
        (late[0].channel, refusal(&late[0]), late.len()),
        (4, 110, 1)
    );
    // In its turn.
    rig.answer(running, "y");
    let answers: Vec<_> = rig.sent().iter().map(refusal).collect();
    assert_eq!(answers, [0, 110]);
    assert!(!rig.session.is_drained(rig.now), "no acknowledgement");
    rig.advance(SECOND * 2);
    assert_eq!(rig.session.ended(), Some(&Ended::Locally));
    assert_eq!(rig.sent(), [sent(7, "/", 1, response_data(0, &[]))]);
}

#[test]
fn an_acknowledgement_after_the_grace_ends_the_connection() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.session.drain(Some(Duration::ZERO), rig.now);
    rig.advance(Duration::ZERO);
    assert!(!rig.session.is_drained(rig.now));
    rig.frame(2, "/", 1, &request_data(0, &[21, 0]));
    assert!(rig.session.is_drained(rig.now));
}

/// Between the hello and the stream of events a client cannot be told, and may have calls under way.
#[test]
fn a_native_client_without_a_stream_of_events_is_waited_for() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.session.drain(Some(SECOND), rig.now);
    rig.advance(SECOND / 2);
    assert!(!rig.session.is_drained(rig.now));
    rig.advance(SECOND);
    assert!(!rig.session.is_drained(rig.now));
    rig.frame(0, "/sys/events", 1, &request_data(0, &[]));
    rig.frame(1, "/raw", 2, b"x");
    rig.frame(2, "/", 1, &request_data(0, &[21, 0]));
    let sent = rig.sent();
    let kinds: Vec<_> = sent.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [4, 6, 5]);
    assert_eq!(refusal(&sent[2]), 110);
    assert!(rig.session.is_drained(rig.now));
}

#[test]
fn a_plain_connection_is_quiet_from_its_last_answer_on() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw", 1, b"x");
    let call = rig.call();
    rig.session.drain(Some(SECOND * 30), rig.now);
    rig.advance(SECOND);
    rig.answer(call, "y");
    // The answer is under way, and the next request may be.
    assert!(!rig.session.is_drained(rig.now));
    rig.advance(SECOND / 10 - Duration::from_millis(1));
    rig.frame(1, "/raw", 1, b"x");
    let call = rig.call();
    rig.answer(call, "y");
    assert!(!rig.session.is_drained(rig.now));
    rig.advance(SECOND / 10);
    assert!(rig.session.is_drained(rig.now));
}

#[test]
fn a_plain_connection_far_away_is_given_four_round_trips() {
    for (round_trip, quiet) in [(10, 100), (60, 240), (5_000, 1_000)] {
        let milliseconds = Duration::from_millis;
        let mut rig = ServerRig::plain(Limits::default(), 1);
        // A request that came together with the one before it says nothing.
        rig.frame(1, "/sys/new_channel", 0, b"{}");
        rig.advance(milliseconds(round_trip));
        rig.frame(1, "/raw", 1, b"x");
        let call = rig.call();
        rig.answer(call, "y");
        rig.session.drain(Some(SECOND * 30), rig.now);
        assert!(!rig.session.is_drained(rig.now));
        rig.advance(milliseconds(quiet - 1));
        assert!(!rig.session.is_drained(rig.now));
        rig.advance(milliseconds(1));
        assert!(rig.session.is_drained(rig.now));
    }
}

#[test]
fn a_plain_connection_ends_with_the_grace() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.session.drain(Some(SECOND), rig.now);
    for _ in 0..20 {
        rig.frame(1, "/raw", 1, b"x");
        if let Some((call, _)) = rig.calls().pop() {
            rig.answer(call, "y");
        }
        rig.advance(SECOND / 20);
    }
    assert!(rig.session.is_drained(rig.now));
    rig.frame(1, "/raw", 1, b"x");
    assert_eq!(refusal(rig.sent().last().unwrap()), 110);
}

#[test]
fn an_old_connection_drains_with_a_grace_of_its_own() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.session.set_age(rig.now + SECOND * 20, SECOND * 4);
    rig.frame(1, "/raw", 2, b"x");
    rig.call();
    rig.advance(SECOND * 20 - Duration::from_millis(1));
    assert!(!rig.session.is_draining() && rig.sent().is_empty());
    rig.advance(Duration::from_millis(1));
    assert!(rig.session.is_draining());
    assert_eq!(rig.sent()[0].records().1[0], 20);
    rig.advance(SECOND * 2);
    assert_eq!(ends(&mut rig), ["streams"]);
    rig.advance(SECOND * 2);
    assert_eq!(ends(&mut rig), ["grace"]);
}
