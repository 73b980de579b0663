//! How much a client can make a server hold: messages that are too large, too many or too small.

use super::rig_tests::*;
use super::*;
use crate::wire::ChannelId;
use crate::wire::record::{RecordKind, encode_header, encode_varint};

fn too_large(limit: usize) -> String {
    format!(
        "{{\"code\":111,\"message\":\"the request is larger than the server's limit of {limit} bytes (max_message)\"}}"
    )
}

#[test]
fn no_frame_is_empty_and_none_is_too_large() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw", 1, b"x");
    let call = rig.call();
    let large = vec![7; 17 << 20];
    assert!(
        rig.session
            .respond(call, chunks([&b"a"[..], b"", &large, b""]))
    );
    let shape: Vec<_> = rig
        .sent()
        .iter()
        .map(|frame| (frame.kind, frame.data.len()))
        .collect();
    assert_eq!(shape, [(4, 1), (6, 16 << 20), (7, 1 << 20)]);
}

#[test]
fn a_plain_request_beyond_its_limit_is_refused_at_its_header() {
    let mut rig = ServerRig::plain(Limits::default().max_plain_message(100_000), 2);
    rig.feed(&encode_head(1, "/raw", 1, 100_001));
    assert_eq!(rig.sent(), [sent(5, "/raw", 1, too_large(100_000))]);
    for _ in 0..100 {
        rig.feed(&[8; 1000]);
        assert!(rig.input.is_empty(), "nothing is kept");
    }
    rig.feed(&[8]);
    rig.frame(1, "/raw", 2, &[0; 100_000]);
    assert_eq!(rig.calls()[0].1.len(), 100_000);
    // The same when it comes at once.
    rig.frame(1, "/raw", 1, &[0; 100_001]);
    assert_eq!(rig.sent(), [sent(5, "/raw", 1, too_large(100_000))]);
}

#[test]
fn a_request_that_grows_too_large_is_refused_at_once_and_read_past() {
    for (native, path) in [(false, "/raw"), (true, "/raw"), (true, "/t.S/M")] {
        let limits = Limits::default()
            .max_plain_message(200_000)
            .max_message(200_000);
        let mut rig = if native {
            ServerRig::native(limits, 4)
        } else {
            ServerRig::plain(limits, 4)
        };
        let data = |size: usize| {
            if path == "/t.S/M" {
                request_data(7, &vec![1; size])
            } else {
                vec![1; size]
            }
        };
        rig.frame(0, path, 2, &data(100_000));
        rig.frame(2, path, 2, &data(100_000));
        assert!(rig.sent().is_empty());
        // A typed message has room for its records.
        rig.frame(2, path, 2, &data(70_000));
        let answered = rig.sent();
        assert_eq!(ErrorReply::parse(&answered[0].data).unwrap().code, 111);
        rig.frame(2, path, 2, &data(70_000));
        rig.frame(3, path, 2, &data(70_000));
        assert!(
            rig.events().is_empty() && rig.sent().is_empty(),
            "it is answered once"
        );
        rig.frame(1, "/raw", 2, b"next");
        rig.call();
    }
}

#[test]
fn a_header_that_would_make_a_request_too_large_is_refused_before_its_data() {
    let mut rig = ServerRig::plain(Limits::default().max_plain_message(200_000), 2);
    rig.frame(0, "/raw", 1, &[0; 150_000]);
    rig.feed(&encode_head(2, "/raw", 1, 100_000));
    assert_eq!(rig.sent(), [sent(5, "/raw", 1, too_large(200_000))]);
    rig.feed(&[0; 50_000]);
    assert!(rig.input.is_empty());
}

#[test]
fn a_refused_request_has_to_end() {
    let mut rig = ServerRig::plain(Limits::default().max_plain_message(1000), 1);
    rig.frame(0, "/raw", 1, &[0; 1001]);
    let megabyte = vec![0; 1 << 20];
    for _ in 0..16 {
        rig.frame(2, "/raw", 1, &megabyte);
        assert_eq!(rig.session.ended(), None);
    }
    rig.frame(2, "/raw", 1, &[0; 2000]);
    assert_eq!(rig.session.ended(), None);
    rig.frame(2, "/raw", 1, &[0; 300]);
    assert_eq!(rig.violation(), Some(&Violation::Endless(ChannelId(1))));
    assert!(rig.violation().unwrap().to_string().contains("channel 1"));
}

fn too_large_for_its_method() -> String {
    format!(
        "{{\"code\":111,\"message\":\"the request is larger than its method accepts, {SMALL} bytes (max_request)\"}}"
    )
}

/// The first record of a message of `total` bytes, with 16,000 of them, and a further one.
fn parts(total: u64) -> (Vec<u8>, Vec<u8>) {
    let total = encode_varint(total);
    let start = encode_header(RecordKind::MESSAGE_START, (total.len() + 16_000) as u64);
    let part = encode_header(RecordKind::MESSAGE_PART, 16_000);
    (
        [&start[..], &total, &[7; 16_000]].concat(),
        [&part[..], &[7; 16_000]].concat(),
    )
}

#[test]
fn a_method_with_a_limit_of_its_own_holds_no_more() {
    // A message that says how large it is, and one that is cut without saying so; whole, and frame by frame.
    for path in ["/t.S/Small", "/t.F/Small"] {
        let mut rig = ServerRig::with_events(Limits::default(), 4);
        rig.sent();
        let (start, _) = parts(SMALL as u64 + 1);
        rig.frame(0, path, 2, &request_data(0, &start));
        assert_eq!(rig.sent(), [sent(5, "/", 2, too_large_for_its_method())]);
        assert_eq!((rig.session.held(), rig.session.lent()), (0, 0), "{path}");
        // The largest there may be.
        let (start, part) = parts(SMALL as u64);
        rig.frame(3, "/", 2, &request_data(0, &part));
        rig.frame(0, path, 2, &request_data(1, &start));
        assert!(rig.sent().iter().all(|frame| frame.channel == 1));
    }
    let mut rig = ServerRig::native(Limits::default(), 4);
    let junk = vec![1; 30_000];
    rig.frame(0, "/t.S/Small", 2, &request_data(0, &junk));
    let mut most = 0;
    while !rig.session.has_output() {
        rig.frame(2, "/", 2, &request_data(0, &junk));
        most = most.max(rig.session.held());
    }
    // Room for records, and one frame.
    assert!((SMALL..=SMALL + 65_636).contains(&most), "{most}");
    assert_eq!(rig.sent(), [sent(5, "/", 2, too_large_for_its_method())]);
    assert_eq!(rig.session.held(), 0);
    // The others have the server's limit.
    rig.frame(0, "/t.S/M", 3, &request_data(0, &parts(SMALL as u64 + 1).0));
    assert!(rig.sent().is_empty() && rig.session.held() > 16_000);
}

#[test]
fn a_raw_route_has_a_limit_of_its_own_too() {
    for native in [false, true] {
        let mut rig = match native {
            true => ServerRig::native(Limits::default(), 4),
            false => ServerRig::plain(Limits::default(), 4),
        };
        let path = if native { "/" } else { "/small" };
        let refused = [sent(5, path, 1, too_large_for_its_method())];
        // A frame is refused at its header, the first and a further one.
        rig.feed(&encode_head(1, "/small?a=b", 1, SMALL as u32 + 1));
        assert_eq!(rig.sent(), refused);
        rig.feed(&[8; SMALL + 1]);
        assert!(rig.input.is_empty(), "nothing is kept");
        rig.frame(0, "/small", 1, &[1; 60_000]);
        rig.feed(&encode_head(3, "/small", 1, 40_001));
        assert_eq!(rig.sent(), refused);
        rig.feed(&[8; 40_001]);
        assert_eq!((rig.input.len(), rig.session.held()), (0, 0));
        rig.frame(1, "/small", 1, &[1; SMALL]);
        rig.call();
    }
}

#[test]
fn the_limit_of_a_method_does_not_raise_the_servers() {
    let mut rig = ServerRig::plain(Limits::default().max_plain_message(1000), 2);
    rig.frame(1, "/small", 1, &[0; 1001]);
    assert_eq!(rig.sent(), [sent(5, "/small", 1, too_large(1000))]);
}

#[test]
fn a_frame_by_frame_request_has_frames_of_any_size() {
    let mut rig = ServerRig::native(Limits::default().max_message(1000), 4);
    rig.frame(0, "/frames", 2, b"a");
    let large = encode(3, "/", 2, &[1; 5000]);
    let (head, rest) = large.split_at(100);
    rig.feed(head);
    rig.feed(rest);
    match &rig.events()[..] {
        [
            ServerEvent::Request { .. },
            ServerEvent::Data {
                data, last: true, ..
            },
        ] => assert_eq!(data.len(), 5000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sixteen_messages_are_assembled_at_a_time() {
    let mut rig = ServerRig::plain(Limits::default().max_incomplete(16), 40);
    for channel in 1..=16 {
        rig.frame(0, "/raw", channel, b"x");
    }
    assert!(rig.sent().is_empty());
    rig.frame(0, "/raw", 17, b"x");
    let refused = rig.sent();
    assert_eq!(
        ErrorReply::parse(&refused[0].data).unwrap().code,
        ErrorReply::OVERLOADED
    );
    assert!(refused[0].text().contains("max_incomplete"));
    // One that is complete, or refused, makes room.
    rig.frame(3, "/raw", 1, b"x");
    rig.frame(0, "/raw", 18, b"x");
    assert!(rig.sent().is_empty());
    // Frame by frame and whole requests do not count.
    rig.frame(0, "/frames", 19, b"x");
    rig.frame(1, "/raw", 20, b"x");
    assert_eq!(rig.calls().len(), 3);
}

/// The answer names the limit that was exceeded, and its setting.
fn over_budget(answer: &[u8]) {
    let reply = ErrorReply::parse(answer).unwrap();
    assert_eq!(reply.code, 111);
    assert!(
        reply.message.contains("100000 bytes") && reply.message.contains("(receive_budget)"),
        "{}",
        reply.message
    );
}

#[test]
fn the_receive_budget_bounds_all_requests_together() {
    let limits = Limits::default().receive_budget(100_000);
    let mut rig = ServerRig::plain(limits, 4);
    rig.frame(0, "/raw", 1, &[0; 60_000]);
    // Under assembly, by header and at once; waiting behind another; alone.
    rig.frame(0, "/raw", 2, &[0; 30_000]);
    rig.feed(&encode_head(2, "/raw", 2, 10_001));
    over_budget(&rig.sent()[0].data);
    rig.feed(&[0; 10_001]);
    rig.frame(2, "/raw", 1, &[0; 40_000]);
    assert!(rig.sent().is_empty(), "what was refused is not held");
    rig.frame(1, "/raw", 3, &[0; 1000]);
    over_budget(&rig.sent()[0].data);
    rig.frame(3, "/raw", 1, &[0; 1]);
    over_budget(&rig.sent()[0].data);
    rig.frame(3, "/raw", 2, &[0; 1]);

    rig.frame(1, "/raw", 4, b"in work");
    rig.frame(1, "/raw", 4, &[0; 70_000]);
    rig.frame(1, "/raw", 4, &[0; 30_001]);
    let call = rig.call();
    rig.answer(call, "y");
    let (call, _) = rig.calls().remove(0);
    rig.answer(call, "y");
    let answers = rig.sent();
    assert_eq!((answers.len(), &answers[1].data[..]), (3, &b"y"[..]));
    over_budget(&answers[2].data);
    // All of it is given back.
    for _ in 0..3 {
        rig.frame(0, "/raw", 1, &[0; 99_000]);
        rig.frame(3, "/raw", 1, &[0; 1000]);
        let (call, data) = rig.calls().remove(0);
        assert_eq!(data.len(), 100_000);
        rig.answer(call, "y");
    }
}

#[test]
fn tiny_frames_are_bounded() {
    let mut rig = ServerRig::plain(Limits::default(), 2);
    rig.frame(0, "/raw", 1, b"x");
    for count in 0..100 {
        rig.frame(2, "/raw", 1, &[0; 1]);
        assert_eq!(rig.session.ended(), None, "{count}");
    }
    rig.frame(2, "/raw", 1, &[0; 1]);
    assert!(matches!(rig.violation(), Some(Violation::Flood(_))));

    // Larger frames refill the allowance; first and last frames cost nothing.
    let mut rig = ServerRig::plain(Limits::default(), 2);
    for _ in 0..1000 {
        rig.frame(0, "/raw", 1, b"x");
        rig.frame(3, "/raw", 1, b"x");
        let call = rig.call();
        rig.answer(call, "y");
    }
    rig.frame(0, "/raw", 1, b"x");
    for _ in 0..1000 {
        rig.frame(2, "/raw", 1, &[0; 255]);
        rig.frame(2, "/raw", 1, &[0; 257]);
    }
    assert_eq!(rig.session.ended(), None);

    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    rig.raw(b"x");
    rig.sent();
    rig.frame(4, "/", 2, b"x");
    for _ in 0..100 {
        rig.frame(6, "/", 2, b"x");
    }
    assert_eq!(rig.session.ended(), None);
    rig.frame(6, "/", 2, b"x");
    assert!(matches!(rig.violation(), Some(Violation::Flood(_))));
}

#[test]
fn a_server_keeps_no_state_of_channels_that_are_idle() {
    let mut rig = ServerRig::plain(
        Limits::default()
            .control_rate(1_000_000)
            .control_burst(20_000),
        10_000,
    );
    for channel in 1..=10_000 {
        let path = if channel % 2 == 0 { "/none" } else { "/raw" };
        rig.frame(1, path, channel, b"x");
        for (call, _) in rig.calls() {
            rig.answer(call, "y");
        }
        if channel % 1000 == 0 {
            rig.sent();
        }
    }
    let text = format!("{:?}", rig.session);
    assert!(
        !text.contains("sparse: {Ch"),
        "idle channels with high numbers are forgotten"
    );
    assert_eq!(rig.session.ended(), None);
}

#[test]
fn a_server_under_pressure_begins_no_further_assembly() {
    let mut rig = ServerRig::plain(Limits::default(), 4);
    rig.frame(0, "/raw", 1, &[0; 300]);
    assert_eq!(rig.session.held(), 300);
    rig.session.set_pressed(true);
    rig.frame(0, "/raw", 2, &[0; 300]);
    let refused = rig.sent();
    assert_eq!(
        ErrorReply::parse(&refused[0].data).unwrap().code,
        ErrorReply::OVERLOADED
    );
    assert!(refused[0].text().contains("receive_budget"));
    // What has begun goes on, and what needs no memory is served.
    rig.frame(3, "/raw", 1, &[0; 300]);
    rig.frame(1, "/raw", 3, b"x");
    let calls = rig.calls();
    assert_eq!((calls.len(), rig.session.held()), (2, 0));
    rig.session.set_pressed(false);
    rig.frame(3, "/raw", 2, b"x");
    rig.frame(0, "/raw", 2, &[0; 300]);
    assert!(rig.sent().is_empty());
    assert_eq!(rig.session.last_activity(), rig.now);
}
