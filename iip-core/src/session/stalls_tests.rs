//! Messages of streams that begin and do not end.

use std::time::Duration;

use super::rig_tests::*;
use super::*;
use crate::wire::record::{RecordKind, encode_header, encode_varint};

const MILLI: Duration = Duration::from_millis(1);

/// A record that begins a message of `total` bytes with 100 of them, and one with 300 more.
fn parts(total: u64) -> (Vec<u8>, Vec<u8>) {
    let total = encode_varint(total);
    let start = encode_header(RecordKind::MESSAGE_START, total.len() as u64 + 100);
    let part = encode_header(RecordKind::MESSAGE_PART, 300);
    (
        [&start[..], &total, &[7; 100]].concat(),
        [&part[..], &[7; 300]].concat(),
    )
}

fn stalled(rig: &mut ServerRig) -> Vec<CallId> {
    let events = rig.events().into_iter();
    events
        .filter_map(|event| match event {
            ServerEvent::Stalled { call } => Some(call),
            _ => None,
        })
        .collect()
}

#[test]
fn a_message_of_a_stream_has_to_come_in_time() {
    let limits = Limits::default()
        .max_message(1 << 20)
        .receive_budget(1 << 20)
        .assembly_stall(SECOND * 2)
        .assembly_timeout(SECOND * 5);
    let (start, part) = parts(1 << 20);
    let begin = || {
        let mut rig = ServerRig::with_events(limits.clone(), 4);
        rig.frame(0, "/t.S/F", 2, &request_data(0, &start));
        let call = rig.call();
        assert!(rig.session.lent() > 1_000_000);
        (rig, call)
    };
    // No further frame.
    let (mut rig, call) = begin();
    rig.advance(SECOND * 2 - MILLI);
    assert_eq!(stalled(&mut rig), []);
    rig.advance(MILLI);
    assert_eq!(stalled(&mut rig), [call]);
    assert!(rig.session.abort(call, payload("late")));
    assert_eq!((rig.session.lent(), rig.session.held()), (0, 0));
    // The connection lives, and so does the channel once the request has ended.
    rig.frame(3, "/", 2, &request_data(0, &part));
    rig.frame(1, "/t.S/F", 2, &request_data(1, &[]));
    rig.call();
    rig.advance(SECOND * 60);
    assert_eq!((stalled(&mut rig), rig.session.ended()), (vec![], None));
    // Frames that come, but not to an end.
    let (mut rig, call) = begin();
    for _ in 0..4 {
        rig.advance(SECOND);
        rig.frame(2, "/", 2, &request_data(0, &part));
        assert_eq!(stalled(&mut rig), []);
    }
    rig.advance(SECOND - MILLI);
    assert_eq!(stalled(&mut rig), []);
    rig.advance(MILLI);
    assert_eq!(stalled(&mut rig), [call]);
    // Between messages, and once the request has ended, as much time as they like.
    let mut rig = ServerRig::with_events(limits.clone(), 4);
    let (start, part) = parts(400);
    rig.frame(0, "/t.S/F", 2, &request_data(0, &start));
    rig.frame(2, "/", 2, &request_data(0, &part));
    rig.frame(0, "/t.S/F", 3, &request_data(0, &start));
    rig.frame(3, "/", 3, &request_data(0, &[]));
    rig.advance(SECOND * 60);
    assert_eq!(stalled(&mut rig), []);
    // The next message has its own time.
    rig.frame(2, "/", 2, &request_data(0, &start));
    rig.advance(SECOND * 2 - MILLI);
    assert_eq!(stalled(&mut rig), []);
    rig.advance(MILLI);
    assert_eq!(stalled(&mut rig).len(), 1);
}

#[test]
fn a_message_that_waits_for_credit_has_its_time_from_then_on() {
    let limits = Limits::default()
        .max_message(1 << 20)
        .receive_budget(1 << 20)
        .assembly_stall(SECOND * 2)
        .assembly_timeout(SECOND * 5);
    let mut rig = ServerRig::with_events(limits, 4);
    let (start, part) = parts(1 << 20);
    rig.frame(0, "/t.S/F", 2, &request_data(0, &start));
    let first = rig.call();
    rig.advance(SECOND);
    rig.frame(0, "/t.S/F", 3, &request_data(0, &start));
    let second = rig.call();
    rig.advance(SECOND);
    assert_eq!(stalled(&mut rig), [first]);
    // Its handler lets it be, and is asked again.
    rig.advance(SECOND + MILLI);
    assert_eq!(stalled(&mut rig), []);
    rig.advance(SECOND - MILLI);
    assert_eq!(stalled(&mut rig), [first]);
    rig.advance(SECOND - MILLI);
    assert!(rig.session.abort(first, payload("late")));
    rig.advance(SECOND * 2 - MILLI);
    assert_eq!(stalled(&mut rig), []);
    rig.advance(MILLI);
    assert_eq!(stalled(&mut rig), [second]);
    rig.frame(2, "/", 3, &request_data(0, &part));
    assert_eq!(rig.session.ended(), None);
}

#[test]
fn who_needs_no_credit_any_more_keeps_it_from_nobody() {
    let limits = || {
        Limits::default()
            .max_message(1 << 20)
            .receive_budget(1 << 20)
    };
    for path in ["/t.S/F", "/t.S/M"] {
        // The second needs more than is left, the third not.
        let mut rig = ServerRig::with_events(limits(), 5);
        rig.frame(0, "/t.S/F", 2, &request_data(0, &parts(600_000).0));
        assert_eq!(rig.sent()[0].channel, 1);
        rig.frame(0, path, 3, &request_data(0, &parts(1 << 20).0));
        rig.frame(0, "/t.S/F", 4, &request_data(0, &parts(200_000).0));
        assert!(rig.sent().is_empty());
        // A message within another one, which its reader will not bear, is small.
        rig.frame(2, "/", 3, &request_data(0, &parts(400).0));
        let granted = rig.sent();
        assert_eq!(granted.len(), 1, "{path}");
        assert_eq!(
            granted[0].records().1[..3],
            [16, 5, 4],
            "WINDOW of channel 4"
        );
    }
}
