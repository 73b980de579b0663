//! The limits that are about counts and bytes, each with its setting. Those about time are in `timers_tests`, those of
//! one message in `requests_tests` and `calls_tests`.

use std::time::Duration;

use super::rate::TokenBucket;
use super::rig_tests::*;
use super::table::ChannelTable;
use super::*;
use crate::wire::{ChannelId, WireError};

#[test]
fn a_frame_has_at_most_max_frame_bytes() {
    let limits = || Limits::default().max_frame(1000);
    let mut rig = ServerRig::plain(limits(), 1);
    rig.frame(1, "/raw", 1, &[0; 1000]);
    rig.call();
    rig.feed(&encode_head(1, "/raw", 1, 1001));
    let error = WireError::DataTooLong {
        length: 1001,
        limit: 1000,
    };
    assert_eq!(rig.violation(), Some(&Violation::Wire(error)));
    let mut rig = ClientRig::native(ClientRig::with_limits(limits()), 4);
    rig.raw(b"x");
    rig.sent();
    rig.feed(&encode_head(5, "/", 2, 1001));
    assert_eq!(rig.violation(), Some(&Violation::Wire(error)));
}

#[test]
fn a_message_of_a_native_peer_has_at_most_max_message_bytes() {
    for (limits, limit) in [
        (Limits::default(), 4 << 20),
        (Limits::default().max_message(50_000), 50_000),
    ] {
        let mut rig = ServerRig::native(limits, 4);
        rig.frame(1, "/raw", 2, &vec![0; limit]);
        assert_eq!(rig.calls()[0].1.len(), limit);
        rig.frame(1, "/raw", 3, &vec![0; limit + 1]);
        assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 111);
    }
}

#[test]
fn a_message_of_a_plain_peer_has_at_most_max_plain_message_bytes() {
    for (limits, limit) in [
        (Limits::default(), 16 << 20),
        (Limits::default().max_plain_message(50_000), 50_000),
    ] {
        let mut rig = ServerRig::plain(limits.clone(), 4);
        rig.frame(1, "/raw", 2, &vec![0; limit]);
        assert_eq!(rig.calls()[0].1.len(), limit);
        rig.frame(0, "/raw", 3, &vec![0; limit]);
        rig.frame(3, "/raw", 3, &[0]);
        assert_eq!(ErrorReply::parse(&rig.sent()[0].data).unwrap().code, 111);

        let mut rig = ClientRig::plain(ClientRig::with_limits(limits));
        rig.raw(b"x");
        rig.sent();
        rig.frame(4, "/raw", 1, &vec![0; limit]);
        rig.frame(7, "/raw", 1, &[0]);
        assert!(
            matches!(rig.events()[..], [ClientEvent::TooLarge { limit: of, budget: false, .. }] if of == limit)
        );
    }
}

fn hello(rig: &mut ServerRig, channels: u32) -> i64 {
    rig.frame(
        1,
        "/sys/hello",
        0,
        format!("{{\"v\":1,\"channels\":{channels}}}").as_bytes(),
    );
    let reply = json::Value::parse(&rig.sent()[0].data).unwrap();
    reply
        .get("channels")
        .and_then(json::Value::as_integer)
        .unwrap()
}

#[test]
fn a_native_client_has_at_most_max_channels() {
    for (limits, limit) in [
        (Limits::default(), 2048),
        (Limits::default().max_channels(10), 10),
    ] {
        assert_eq!(hello(&mut ServerRig::new(limits.clone()), 1_000_000), limit);
        let mut rig = ServerRig::new(limits);
        assert_eq!(hello(&mut rig, 8), 8);
        for number in 9..=limit {
            rig.frame(1, "/sys/new_channel", 0, b"{}");
            rig.now += SECOND;
            assert_eq!(
                rig.sent()[0].text(),
                format!("{{\"code\":0,\"channel_id\":{number}}}")
            );
        }
        rig.frame(1, "/sys/new_channel", 0, b"{}");
        assert_eq!(
            rig.sent()[0].text(),
            r#"{"code":106,"message":"channel create limited"}"#
        );
    }
    // Even nobody's wish for none gives two: the event stream and a call.
    assert_eq!(
        hello(&mut ServerRig::new(Limits::default().max_channels(1)), 0),
        2
    );
    // A client takes no more than it asked for.
    let mut rig = ClientRig::new(ClientRig::with_limits(Limits::default().max_channels(5)));
    rig.frame(5, "/", 0, br#"{"code":0,"v":1,"channels":4000000000}"#);
    assert_eq!(rig.session.available(), 4);
    rig.frame(5, "/", 0, br#"{"code":0,"channel_id":4000000001}"#);
    assert_eq!((rig.session.available(), rig.session.ended()), (4, None));
}

#[test]
fn windows_fill_at_most_half_the_budget() {
    let limits = Limits::default().receive_budget(10_000_000).window(100_000);
    assert_eq!(hello(&mut ServerRig::new(limits.clone()), 2000), 50);
    let mut rig = ClientRig::new(ClientRig::with_limits(limits));
    rig.frame(5, "/", 0, br#"{"code":0,"v":1,"channels":2000}"#);
    assert_eq!(rig.session.available(), 49, "one is the event stream's");
    // A window is at least 32 KiB.
    let limits = Limits::default().receive_budget(10_000_000).window(0);
    assert_eq!(hello(&mut ServerRig::new(limits), 2000), 152);
}

#[test]
fn a_plain_client_is_granted_a_million_channels() {
    let mut rig = ServerRig::new(
        Limits::default()
            .control_rate(u32::MAX)
            .control_burst(u32::MAX),
    );
    let request = encode(1, "/sys/new_channel", 0, b"{}").repeat(1024);
    for _ in 0..1024 {
        rig.feed(&request);
        rig.output.clear();
        while rig.session.has_output() {
            rig.session.poll_transmit(&mut rig.output);
        }
        rig.resume();
        assert!(rig.input.is_empty());
    }
    assert!(rig.output.ends_with(br#"{"code":0,"channel_id":1048576}"#));
    rig.output.clear();
    rig.frame(1, "/sys/new_channel", 0, b"{}");
    assert_eq!(
        rig.sent()[0].text(),
        r#"{"code":106,"message":"channel create limited"}"#
    );
    rig.frame(1, "/raw", 1 << 20, b"x");
    rig.call();
}

#[test]
fn a_plain_client_has_calls_on_at_most_max_plain_channels() {
    for (limits, limit) in [
        (Limits::default(), 256),
        (Limits::default().max_plain_channels(10), 10),
    ] {
        let mut rig = ServerRig::plain(limits, limit + 1);
        for channel in 1..=limit {
            assert!(rig.session.wants_read());
            rig.frame(1, "/raw", channel as u32, b"x");
        }
        assert!(!rig.session.wants_read());
        rig.frame(1, "/raw", limit as u32 + 1, b"waits unread");
        assert!(rig.session.has_deferred());
        let calls = rig.calls();
        assert_eq!(calls.len(), limit);
        rig.answer(calls[0].0, "y");
        assert!(rig.session.wants_read());
        rig.resume();
        assert_eq!(rig.calls()[0].1, "waits unread");
        assert!(!rig.session.has_deferred());
    }
}

#[test]
fn a_channel_has_at_most_max_queued_per_channel_requests_waiting() {
    for (limits, limit) in [
        (Limits::default(), 64),
        (Limits::default().max_queued_per_channel(3), 3),
    ] {
        for native in [false, true] {
            let mut rig = if native {
                ServerRig::native(limits.clone(), 4)
            } else {
                ServerRig::plain(limits.clone(), 4)
            };
            for count in 0..=limit {
                assert!(rig.session.wants_read(), "{count}");
                rig.frame(1, "/raw", 2, &[count as u8]);
            }
            assert!(!rig.session.wants_read());
            rig.frame(1, "/raw", 2, b"unread");
            rig.frame(1, "/raw", 3, b"unread too");
            assert!(!rig.input.is_empty());
            for count in 0..=limit {
                let (call, data) = rig.calls().remove(0);
                assert_eq!(data[..], [count as u8]);
                rig.answer(call, "y");
                assert!(rig.session.wants_read());
            }
            rig.resume();
            assert_eq!(rig.calls().len(), 2);
            assert_eq!(rig.sent().len(), limit + 1);
        }
    }
}

#[test]
fn a_plain_connection_has_at_most_max_plain_in_flight_requests() {
    for (limits, limit) in [
        (Limits::default(), 256),
        (Limits::default().max_plain_in_flight(5), 5),
    ] {
        let mut rig = ServerRig::plain(limits, 100);
        for count in 0..limit {
            assert!(rig.session.wants_read(), "{count}");
            rig.frame(1, "/raw", 1 + count as u32 % 100, b"x");
        }
        assert!(!rig.session.wants_read());
        rig.feed(b"unread");
        assert_eq!(rig.input.len(), 6);
        let calls = rig.calls();
        rig.answer(calls[0].0, "y");
        assert!(rig.session.wants_read());
    }
}

#[test]
fn max_incomplete_messages_are_assembled() {
    let mut rig = ServerRig::native(Limits::default().max_incomplete(2), 8);
    for channel in 2..=3 {
        rig.frame(0, "/t.S/M", channel, &request_data(0, &[]));
    }
    assert!(rig.sent().is_empty());
    rig.frame(0, "/t.S/M", 4, &request_data(0, &[]));
    assert_eq!(
        ErrorReply::parse(&rig.sent()[0].data).unwrap().code,
        ErrorReply::OVERLOADED
    );
}

#[test]
fn a_server_does_not_read_while_its_answers_are_not_read() {
    for (limits, limit) in [
        (Limits::default(), 1 << 20),
        (Limits::default().write_soft_limit(1000), 1000),
    ] {
        let mut rig = ServerRig::native(limits, 4);
        rig.frame(1, "/raw", 2, b"x");
        rig.frame(1, "/raw", 3, b"x");
        let calls = rig.calls();
        rig.answer(calls[0].0, vec![0; limit - 100]);
        assert!(rig.session.wants_read());
        rig.answer(calls[1].0, vec![0; 101]);
        assert!(!rig.session.wants_read());
        rig.sent();
        assert!(rig.session.wants_read());
    }
}

#[test]
fn a_connection_whose_answers_are_not_read_ends() {
    for (limits, limit) in [
        (Limits::default(), 16 << 20),
        (Limits::default().write_hard_limit(100_000), 100_000),
    ] {
        let mut rig = ServerRig::with_events(limits, 8);
        for channel in 2..=5 {
            rig.frame(1, "/raw", channel, b"x");
        }
        let calls = rig.calls();
        rig.answer(calls[0].0, vec![0; limit]);
        rig.advance(Duration::from_secs(3));
        assert_eq!(rig.session.ended(), None);
        rig.answer(calls[1].0, vec![0; limit]);
        rig.answer(calls[2].0, vec![0; limit]);
        // A peer that reads, however slowly, has its time again with each piece.
        for _ in 0..4 {
            rig.advance(Duration::from_millis(1500));
            rig.session.poll_transmit(&mut Vec::new());
            assert_eq!(rig.session.ended(), None);
        }
        rig.advance(Duration::from_millis(4500));
        let violated = rig.violation() == Some(&Violation::OutputFull);
        // By then less than the small limit was left.
        assert_eq!(violated, limit > 100_000);
        rig.session.shrink();
    }
}

#[test]
fn control_requests_pass_at_a_rate() {
    let mut rig = ServerRig::new(Limits::default());
    for _ in 0..1000 {
        rig.frame(1, "/sys/new_channel", 0, b"{}");
    }
    rig.now += SECOND / 2;
    for _ in 0..100 {
        rig.frame(1, "/sys/new_channel", 0, b"{}");
    }
    assert_eq!(rig.session.ended(), None);
    rig.frame(1, "/sys/new_channel", 0, b"{}");
    assert!(matches!(rig.violation(), Some(Violation::Flood(_))));
}

#[test]
fn tokens_come_back_and_never_beyond_the_burst() {
    let start = std::time::Instant::now();
    let mut bucket = TokenBucket::new(2, 3, start);
    let taken = |bucket: &mut TokenBucket, now| (0..10).filter(|_| bucket.take(now)).count();
    assert_eq!(taken(&mut bucket, start), 3);
    assert_eq!(taken(&mut bucket, start + SECOND / 2), 1);
    assert_eq!(
        taken(&mut bucket, start),
        0,
        "time that goes back gives nothing"
    );
    assert_eq!(taken(&mut bucket, start + SECOND / 2 + SECOND * 1000), 3);
}

#[test]
fn a_table_keeps_what_it_is_given() {
    let mut table = ChannelTable::<u32>::new();
    for channel in [0, 5, 2047, 2048, 1 << 20] {
        assert!(
            table
                .get_mut(ChannelId(channel))
                .is_none_or(|state| *state == 0)
        );
        *table.entry(ChannelId(channel)) = channel + 1;
    }
    let sum: u64 = table
        .iter_mut()
        .map(|(channel, state)| {
            assert!(*state == 0 || *state == channel.0 + 1);
            u64::from(*state)
        })
        .sum();
    assert_eq!(sum, 1 + 6 + 2048 + 2049 + (1 << 20) + 1);
    for channel in [5, 2048, 3, 99_999] {
        table.remove(ChannelId(channel));
        assert!(
            table
                .get(ChannelId(channel))
                .is_none_or(|state| *state == 0)
        );
    }
    assert_eq!(table.get(ChannelId(1 << 20)), Some(&((1 << 20) + 1)));
    assert_eq!(ChannelTable::<u32>::new().get(ChannelId(9)), None);
}
