//! Everything that waits for time, on both sides, in virtual time.

use std::time::Duration;

use super::rig_tests::*;
use super::*;

const MILLI: Duration = Duration::from_millis(1);

fn slow(violation: Option<&Violation>) -> Option<&'static str> {
    match violation {
        Some(Violation::Slow(what)) => Some(what),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    for (limits, after) in [
        (Limits::default(), SECOND * 10),
        (
            Limits::default().first_frame_timeout(SECOND * 3),
            SECOND * 3,
        ),
    ] {
        let mut rig = ServerRig::new(limits);
        rig.advance(after - MILLI);
        assert_eq!(rig.session.ended(), None);
        rig.advance(MILLI);
        assert_eq!(slow(rig.violation()), Some("the first frame"));
        assert_eq!(rig.violation().unwrap().code(), 3);
    }
    // Byte by byte, it is no longer.
    let mut rig = ServerRig::new(Limits::default());
    for byte in encode(1, "/raw", 0, b"x").iter().take(9) {
        rig.feed(&[*byte]);
        rig.advance(SECOND);
        assert_eq!(rig.session.ended(), None);
    }
    rig.advance(SECOND);
    assert_eq!(slow(rig.violation()), Some("the first frame"));
}

#[test]
fn a_first_frame_in_time_lets_a_plain_connection_be_idle_for_ever() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.advance(SECOND * 1_000_000);
    assert_eq!(rig.session.ended(), None);
    assert_eq!(rig.session.poll_timeout(), None, "nothing is waited for");
}

#[test]
fn a_header_has_to_be_complete_in_time() {
    for (limits, after) in [
        (Limits::default(), SECOND * 5),
        (Limits::default().header_timeout(SECOND * 2), SECOND * 2),
    ] {
        let mut rig = ServerRig::plain(limits, 1);
        rig.feed(&[1]);
        rig.advance(after - MILLI);
        rig.feed(b"/ra");
        assert_eq!(rig.session.ended(), None);
        rig.advance(MILLI);
        assert_eq!(slow(rig.violation()), Some("a frame header"));
    }
    // Each frame anew.
    let mut rig = ServerRig::plain(Limits::default(), 1);
    let bytes = encode(1, "/none", 1, b"x").repeat(5);
    for byte in bytes {
        rig.feed(&[byte]);
        rig.advance(SECOND / 4);
    }
    assert_eq!((rig.sent().len(), rig.session.ended()), (5, None));
}

#[test]
fn data_has_to_arrive_at_a_rate() {
    for (limits, rate, grace) in [
        (Limits::default(), 16 * 1024, SECOND * 2),
        (
            Limits::default().body_rate(1000).body_grace(SECOND),
            1000,
            SECOND,
        ),
    ] {
        // Nothing comes.
        let mut rig = ServerRig::plain(limits.clone(), 1);
        rig.feed(&encode_head(1, "/raw", 1, 1 << 20));
        rig.advance(grace + SECOND * 5 - MILLI);
        assert_eq!(rig.session.ended(), None);
        rig.advance(MILLI);
        assert_eq!(slow(rig.violation()), Some("a frame's data"));
        // A little less than the rate, and a little more.
        for (per_second, ok) in [(rate * 6 / 10, false), (rate * 11 / 10, true)] {
            let mut rig = ServerRig::plain(limits.clone(), 1);
            rig.feed(&encode_head(1, "/raw", 1, 1 << 20));
            for _ in 0..40 {
                if rig.session.ended().is_none() {
                    rig.feed(&vec![0; per_second]);
                    rig.advance(SECOND);
                }
            }
            assert_eq!(
                slow(rig.violation()).is_none(),
                ok,
                "{per_second} bytes a second"
            );
        }
    }
}

#[test]
fn a_client_expects_the_same_of_its_server() {
    let mut rig = ClientRig::native(ClientConfig::default(), 4);
    rig.raw(b"x");
    rig.sent();
    rig.feed(&encode_head(5, "/", 2, 1 << 20));
    rig.advance(SECOND * 7);
    assert_eq!(slow(rig.violation()), Some("a frame's data"));
    let mut rig = ClientRig::plain(ClientConfig::default());
    rig.raw(b"x");
    rig.feed(&[5]);
    rig.advance(SECOND * 5);
    assert_eq!(slow(rig.violation()), Some("a frame header"));
    // But while no call waits it may say nothing for as long as it likes.
    let mut rig = ClientRig::plain(ClientConfig::default());
    rig.advance(SECOND * 100_000);
    assert_eq!(rig.session.ended(), None);
}

#[test]
fn time_in_which_the_server_does_not_read_is_not_counted() {
    // Both a header and data, while a plain connection has as many calls as it may have.
    for begun in [encode_head(1, "/raw", 2, 100_000), b"\x01/ra".to_vec()] {
        for wait in [SECOND * 4, SECOND * 6, SECOND * 60] {
            let mut rig = ServerRig::plain(Limits::default().max_plain_in_flight(1), 2);
            rig.feed(&[encode(1, "/raw", 1, b"x"), begun.clone()].concat());
            assert!(!rig.session.wants_read());
            rig.advance(wait);
            let call = rig.call();
            rig.answer(call, "y");
            assert!(rig.session.wants_read());
            rig.sent();
            rig.resume();
            rig.advance(SECOND * 5 - MILLI);
            assert_eq!(rig.session.ended(), None, "{wait:?}");
            rig.advance(SECOND * 3);
            assert!(slow(rig.violation()).is_some());
        }
    }
    // The pause begins and ends between two looks at the clock.
    for (begun, patience) in [
        (b"\x01/ra".to_vec(), SECOND * 5),
        (encode_head(1, "/raw", 2, 100_000), SECOND * 7),
    ] {
        let mut rig = ServerRig::plain(Limits::default().write_soft_limit(10_000), 2);
        rig.frame(1, "/raw", 1, b"x");
        rig.feed(&begun);
        let call = rig.call();
        rig.advance(SECOND);
        rig.answer(call, vec![0; 50_000]);
        assert!(!rig.session.wants_read());
        rig.now += SECOND * 3;
        rig.sent();
        rig.advance(patience - SECOND);
        assert_eq!(rig.session.ended(), None);
        rig.advance(patience * 2);
        assert!(slow(rig.violation()).is_some());
    }
    // Nor does a connection that is not read lose its first frame.
    let mut rig = ServerRig::new(Limits::default().write_soft_limit(0));
    rig.feed(&[encode(1, "/none", 0, b"x"), encode(1, "/raw", 0, b"x")].concat());
    rig.advance(SECOND * 100);
    assert_eq!(rig.session.ended(), None);
    rig.sent();
    rig.resume();
    rig.call();
}

#[test]
fn a_request_of_several_frames_has_to_come_in_time() {
    for (limits, stall, total) in [
        (Limits::default(), SECOND * 10, SECOND * 30),
        (
            Limits::default()
                .assembly_stall(SECOND * 2)
                .assembly_timeout(SECOND * 5),
            SECOND * 2,
            SECOND * 5,
        ),
    ] {
        // No further frame.
        let mut rig = ServerRig::plain(limits.clone(), 2);
        rig.frame(0, "/raw", 1, b"x");
        rig.advance(stall - MILLI);
        assert!(rig.sent().is_empty());
        rig.advance(MILLI);
        let answer = rig.sent().remove(0);
        assert_eq!(
            (answer.kind, answer.channel, &answer.path[..]),
            (5, 1, "/raw")
        );
        assert_eq!(ErrorReply::parse(&answer.data).unwrap().code, 114);
        assert!(answer.text().contains("assembly_timeout"));
        // Its rest is read past, and the channel goes on.
        rig.frame(3, "/raw", 1, b"x");
        rig.frame(1, "/raw", 1, b"x");
        rig.call();
        // Frames that come, but not to an end.
        let mut rig = ServerRig::plain(limits.clone(), 2);
        rig.frame(0, "/raw", 1, b"x");
        let step = stall - SECOND;
        let mut passed = Duration::ZERO;
        while passed + step < total {
            rig.advance(step);
            passed += step;
            rig.frame(2, "/raw", 1, &[0; 300]);
            assert!(rig.sent().is_empty());
        }
        rig.advance(total - passed - MILLI);
        assert!(rig.sent().is_empty());
        rig.advance(MILLI);
        assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 114);
        assert_eq!(rig.session.ended(), None);
    }
}

#[test]
fn frame_by_frame_requests_take_as_long_as_they_take() {
    let mut rig = ServerRig::plain(Limits::default(), 2);
    rig.frame(0, "/frames", 1, b"x");
    rig.advance(SECOND * 1000);
    assert_eq!((rig.sent(), rig.session.ended()), (vec![], None));
}

#[test]
fn a_deadline_of_a_call_is_told_once() {
    let mut rig = ServerRig::plain(Limits::default(), 2);
    rig.frame(1, "/raw", 1, b"x");
    rig.frame(1, "/raw", 2, b"x");
    let calls = rig.calls();
    rig.session.set_deadline(calls[0].0, rig.now + SECOND * 2);
    rig.session.set_deadline(calls[1].0, rig.now + SECOND);
    rig.advance(SECOND);
    assert!(matches!(rig.events()[..], [ServerEvent::Expired { call }] if call == calls[1].0));
    rig.advance(SECOND);
    assert!(matches!(rig.events()[..], [ServerEvent::Expired { call }] if call == calls[0].0));
    rig.advance(SECOND * 100);
    assert!(rig.events().is_empty());
    rig.answer(calls[0].0, "late, and sent all the same");
    assert_eq!(rig.sent().len(), 1);
    // Of a call that was answered there is none.
    rig.frame(1, "/raw", 1, b"x");
    let call = rig.call();
    rig.session.set_deadline(call, rig.now + SECOND);
    rig.answer(call, "y");
    rig.session.set_deadline(call, rig.now + SECOND);
    rig.advance(SECOND * 2);
    assert!(rig.events().is_empty());
}

#[test]
fn a_callers_deadline_is_told_once_and_the_channel_waits() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    let deadline = Some(rig.now + SECOND);
    let call = rig.open(
        "/raw",
        OpenOptions {
            deadline,
            ..OpenOptions::default()
        },
        payload("x"),
    );
    rig.sent();
    rig.advance(SECOND - MILLI);
    assert!(rig.events().is_empty());
    rig.advance(MILLI);
    assert!(matches!(rig.events()[..], [ClientEvent::Expired { call: of }] if of == call));
    assert!(rig.session.may_have_run(call));
    rig.release(call);
    assert_eq!(rig.session.available(), 0);
    rig.frame(5, "/", 2, b"late");
    assert!(rig.responses().is_empty());
    assert_eq!(rig.session.available(), 1);
    // An answer in time, not yet taken by its caller.
    let deadline = Some(rig.now + SECOND);
    let call = rig.open(
        "/raw",
        OpenOptions {
            deadline,
            ..OpenOptions::default()
        },
        payload("x"),
    );
    rig.sent();
    rig.frame(5, "/", 2, b"in time");
    rig.advance(SECOND * 2);
    assert!(matches!(&rig.events()[..], [ClientEvent::Response { call: of, .. }] if *of == call));
}

#[test]
fn an_idle_native_connection_is_told_and_ends() {
    for (limits, after) in [
        (Limits::default(), SECOND * 600),
        (Limits::default().idle_timeout(SECOND * 20), SECOND * 20),
    ] {
        let mut rig = ServerRig::with_events(limits, 4);
        rig.advance(after - MILLI);
        assert!(!rig.session.is_draining());
        rig.advance(MILLI);
        assert!(rig.session.is_draining() && rig.session.ended().is_none());
        assert_eq!(rig.sent()[0].records().1[0], 20);
        rig.advance(SECOND * 5 - MILLI);
        assert_eq!(rig.session.ended(), None);
        rig.advance(MILLI);
        assert_eq!(rig.session.ended(), Some(&Ended::Idle));
    }
    // A client that answers is let go when it likes.
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.advance(SECOND * 601);
    rig.frame(2, "/", 1, &request_data(0, &[21, 0]));
    assert!(rig.session.is_drained(rig.now));
    rig.advance(SECOND * 10);
    assert_eq!(rig.session.ended(), None);
}

#[test]
fn a_client_that_acknowledges_no_drain_is_let_go() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"x");
    let call = rig.call();
    rig.session.drain(None, rig.now);
    // It is not idle: it pings, and calls.
    for _ in 0..5 {
        assert!(!rig.session.is_drained(rig.now));
        rig.advance(SECOND);
        rig.frame(2, "/", 1, &request_data(0, &event_ping()));
    }
    rig.advance(SECOND / 10);
    assert!(!rig.session.is_drained(rig.now), "a call is in flight");
    rig.answer(call, "y");
    assert!(rig.session.is_drained(rig.now));
    // What comes before the end of the stream is served, what comes later is not.
    rig.frame(1, "/raw", 2, b"x");
    let call = rig.call();
    assert!(!rig.session.is_drained(rig.now));
    rig.answer(call, "y");
    rig.session.finish();
    rig.sent();
    rig.frame(1, "/raw", 2, b"x");
    assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 110);
    // The same without a call.
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.session.drain(None, rig.now);
    rig.advance(SECOND * 4);
    assert!(!rig.session.is_drained(rig.now));
    rig.advance(SECOND * 5 / 4);
    assert!(rig.session.is_drained(rig.now));
}

fn event_ping() -> Vec<u8> {
    [&[18, 8][..], &[0; 8]].concat()
}

#[test]
fn a_connection_with_a_call_is_not_idle() {
    let mut rig = ServerRig::with_events(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"x");
    let call = rig.call();
    rig.advance(SECOND * 5000);
    assert!(!rig.session.is_draining());
    rig.answer(call, "y");
    rig.sent();
    rig.advance(SECOND * 100);
    assert!(
        !rig.session.is_draining(),
        "it is idle from the answer on, not from the request"
    );
    rig.advance(SECOND * 1200);
    assert_eq!(
        rig.session.ended(),
        Some(&Ended::Idle),
        "the timer is set again after a call"
    );
    // Without an event stream too.
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.advance(SECOND * 1300);
    assert_eq!(rig.session.ended(), Some(&Ended::Idle));
}

fn ping(number: u8) -> Sent {
    sent(
        2,
        "/",
        1,
        request_data(0, &[18, 8, 0, 0, 0, 0, 0, 0, 0, number]),
    )
}

#[test]
fn a_busy_connection_is_pinged_when_nothing_comes() {
    for (keep_alive, interval, timeout) in [
        (KeepAlive::default(), SECOND * 10, SECOND * 5),
        (
            KeepAlive::default().interval(SECOND * 3).timeout(SECOND),
            SECOND * 3,
            SECOND,
        ),
    ] {
        let config = ClientConfig {
            keep_alive,
            ..ClientConfig::default()
        };
        let mut rig = ClientRig::native(config, 4);
        rig.raw(b"x");
        rig.sent();
        rig.advance(interval - MILLI);
        assert!(rig.sent().is_empty());
        rig.advance(MILLI);
        assert_eq!(rig.sent(), [ping(1)]);
        // Anything that comes will do.
        rig.advance(timeout - MILLI);
        rig.feed(&[6]);
        rig.feed(&encode(6, "/", 1, &response_data(0, &[]))[1..]);
        rig.advance(interval);
        assert_eq!(rig.sent(), [ping(2)]);
        rig.advance(timeout - MILLI);
        assert_eq!(rig.session.ended(), None);
        rig.advance(MILLI);
        assert_eq!(rig.session.ended(), Some(&Ended::Silent("a ping")));
    }
}

#[test]
fn an_idle_connection_is_pinged_rarely() {
    for (keep_alive, interval) in [
        (KeepAlive::default(), SECOND * 300),
        (KeepAlive::default().idle_interval(SECOND * 50), SECOND * 50),
    ] {
        let config = ClientConfig {
            keep_alive,
            ..ClientConfig::default()
        };
        let mut rig = ClientRig::native(config, 4);
        rig.advance(interval - MILLI);
        assert!(rig.sent().is_empty());
        rig.advance(MILLI);
        assert_eq!(rig.sent(), [ping(1)]);
    }
    // A call after a long silence sends the ping before itself.
    let mut rig = ClientRig::native(ClientConfig::default(), 4);
    rig.advance(SECOND * 20);
    rig.raw(b"x");
    let frames = rig.sent();
    assert_eq!((frames.len(), &frames[0]), (2, &ping(1)));
    rig.advance(SECOND * 5);
    assert_eq!(rig.session.ended(), Some(&Ended::Silent("a ping")));
}

/// A plain server is asked for its counters, which every one answers, and only while calls wait.
#[test]
fn a_plain_server_is_pinged_while_calls_wait() {
    let ping = || sent(1, "/sys/server_count", 0, b"{}");
    let mut rig = ClientRig::plain(ClientConfig::default());
    rig.advance(SECOND * 10_000);
    assert_eq!((rig.sent(), rig.session.ended()), (vec![], None));
    let call = rig.raw(b"x");
    // After a long silence the question goes ahead of the call.
    let frames = rig.sent();
    assert_eq!((frames.len(), &frames[0]), (2, &ping()));
    for answer in [
        &br#"{"PacketsSent":1}"#[..],
        br#"{"code":102,"message":"handle error"}"#,
    ] {
        rig.advance(SECOND * 5 - MILLI);
        rig.frame(5, "/sys/server_count", 0, answer);
        assert_eq!((rig.sent(), rig.session.ended()), (vec![], None));
        rig.advance(SECOND * 10);
        assert_eq!(rig.sent(), [ping()]);
    }
    // The answer to a call will do as well.
    rig.frame(5, "/raw", call.channel.0, b"y");
    rig.release(call);
    rig.advance(SECOND * 10_000);
    assert_eq!(rig.session.ended(), None);
    rig.frame(5, "/sys/server_count", 0, b"{}");
    assert_eq!((rig.sent(), rig.session.ended()), (vec![], None));
    rig.raw(b"x");
    rig.advance(SECOND * 15);
    assert_eq!(rig.session.ended(), Some(&Ended::Silent("a ping")));
}

#[test]
fn a_call_given_up_that_stays_unanswered_makes_the_connection_stuck() {
    for (plain, after) in [(false, SECOND * 5), (true, SECOND * 60)] {
        let mut rig = if plain {
            ClientRig::plain(ClientConfig::default())
        } else {
            ClientRig::native(ClientConfig::default(), 4)
        };
        let call = rig.raw(b"x");
        rig.sent();
        rig.advance(SECOND * 3);
        rig.release(call);
        rig.advance(after - MILLI);
        assert!(rig.events().is_empty() && !rig.session.is_draining());
        rig.advance(MILLI);
        assert!(matches!(rig.events()[..], [ClientEvent::Stuck]));
        assert!(rig.session.is_draining());
        rig.advance(SECOND * 4);
        assert!(rig.events().is_empty(), "said once");
        // Its other calls end first, then it does not wait for what will not come.
        rig.session.close();
        assert_eq!(rig.session.ended(), Some(&Ended::Locally));
    }
    let mut rig = ClientRig::native(ClientConfig::default(), 4);
    let call = rig.raw(b"x");
    let (stuck, channel) = (rig.raw(b"x"), call.channel.0);
    rig.sent();
    rig.release(stuck);
    rig.advance(SECOND * 6);
    rig.session.close();
    assert_eq!(rig.session.ended(), None);
    rig.frame(5, "/", channel, b"y");
    rig.release(call);
    assert_eq!(rig.session.ended(), Some(&Ended::Locally));
}

#[test]
fn a_call_answered_in_time_makes_nothing_stuck() {
    let mut rig = ClientRig::native(ClientConfig::default(), 4);
    let call = rig.raw(b"x");
    rig.sent();
    rig.release(call);
    rig.advance(SECOND * 4);
    rig.frame(5, "/", 2, b"y");
    rig.advance(SECOND * 10);
    assert!(
        !rig.events()
            .iter()
            .any(|event| matches!(event, ClientEvent::Stuck))
    );
}

#[test]
fn many_calls_given_up_make_a_plain_connection_stuck_at_once() {
    let mut rig = ClientRig::plain(ClientConfig::default());
    let mut next = 2;
    while rig.session.available() < 20 {
        rig.session.want_channels();
        for _ in rig.sent() {
            let grant = format!("{{\"code\":0,\"channel_id\":{next}}}");
            rig.frame(5, "/sys/new_channel", 0, grant.as_bytes());
            next += 1;
        }
    }
    let calls: Vec<_> = (0..17).map(|_| rig.raw(b"x")).collect();
    rig.sent();
    rig.events();
    for (count, call) in calls.into_iter().enumerate() {
        assert!(!rig.session.is_draining(), "{count}");
        rig.release(call);
        let now = rig.now;
        rig.session.handle_timeout(now);
    }
    assert!(matches!(rig.events()[..], [ClientEvent::Stuck]));
}
