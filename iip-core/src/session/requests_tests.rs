//! A server's requests: order, several frames, refusals, answers.

use super::rig_tests::*;
use super::*;
use crate::wire::ChannelId;

const NO_HANDLER: &str = r#"{"code":102,"message":"handle error"}"#;

#[test]
fn a_plain_request() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw?a=1&b=%20", 1, b"hi");
    match &rig.events()[..] {
        [
            ServerEvent::Request {
                call,
                route: RAW,
                path: Some(path),
                data,
                enveloped: false,
                complete: true,
                arrived: _,
            },
        ] => {
            assert_eq!((path.as_str(), &data[..]), ("/raw?a=1&b=%20", &b"hi"[..]));
            assert!(rig.session.is_owed(*call));
            rig.answer(*call, "ho");
            assert!(!rig.session.is_owed(*call));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.sent(), [sent(5, "/raw", 1, "ho")]);
}

#[test]
fn a_typed_request_of_a_native_client() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/t.S/M", 2, &request_data(0xabcd, &[2, 1, 7]));
    match &rig.events()[..] {
        [
            ServerEvent::Request {
                call,
                route: TYPED,
                path: None,
                data,
                enveloped: true,
                complete: true,
                arrived: _,
            },
        ] => {
            assert_eq!(&data[..], [2, 1, 7]);
            rig.answer(*call, [2, 1, 8]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        rig.sent(),
        [sent(5, "/", 2, [0x0f, 0x80, 0xab, 0xcd, 2, 1, 8])]
    );
}

#[test]
fn a_typed_request_of_a_plain_client_is_bytes() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    // Even if they look like an envelope.
    rig.frame(1, "/t.S/M", 1, &request_data(0, &[2, 0]));
    match &rig.events()[..] {
        [
            ServerEvent::Request {
                call,
                route: TYPED,
                path: Some(_),
                data,
                enveloped: false,
                ..
            },
        ] => {
            assert_eq!(&data[..], request_data(0, &[2, 0]));
            rig.answer(*call, "x");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.sent(), [sent(5, "/t.S/M", 1, "x")]);
}

#[test]
fn a_typed_request_without_its_envelope_fails_alone() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    for data in [&b"\x0a\x00"[..], b"{}", &[0x0f, 0, 0]] {
        rig.frame(1, "/t.S/M", 2, data);
        let answer = rig.sent().remove(0);
        assert_eq!(ErrorReply::parse(&answer.data).unwrap().code, -1);
    }
    rig.frame(1, "/t.S/M", 2, &request_data(3, &[]));
    rig.call();
    // A flag that this version does not know, or a response's, is another matter.
    for flags in [0x80, 0x40, 1] {
        let mut rig = ServerRig::native(Limits::default(), 4);
        rig.frame(1, "/t.S/M", 2, &[0x0f, flags, 0, 0]);
        assert_eq!(
            rig.violation(),
            Some(&Violation::WrongEnvelope(ChannelId(2)))
        );
    }
}

#[test]
fn an_unknown_path_fails_alone() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    for (path, answered) in [
        ("/none", "/none"),
        ("/none?x=1", "/none"),
        ("/raw/", "/raw/"),
        ("/Raw", "/Raw"),
        ("/sys/statis", "/sys/statis"),
        // What is not canonical is never repeated.
        ("/../raw", "/"),
        ("//raw", "/"),
        ("/%72aw", "/"),
        ("raw", "/"),
        ("/raw?%00", "/"),
        ("/raw?%zz", "/"),
        ("/raw\x1b[1m", "/"),
        ("?x", "/"),
    ] {
        rig.frame(1, path, 1, b"x");
        assert_eq!(rig.sent(), [sent(5, answered, 1, NO_HANDLER)], "{path}");
        assert!(rig.events().is_empty());
    }
    let mut bytes = encode(1, "/xxx", 1, b"x");
    bytes[3] = 0xff;
    rig.feed(&bytes);
    assert_eq!(rig.sent(), [sent(5, "/", 1, NO_HANDLER)]);
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/none", 2, &request_data(0, &[]));
    rig.frame(1, "/t.S/M?%00", 2, &request_data(0, &[]));
    assert_eq!(
        rig.sent(),
        [sent(5, "/", 2, NO_HANDLER), sent(5, "/", 2, NO_HANDLER)]
    );
    rig.frame(1, "/t.S/M?a=1", 2, &request_data(0, &[]));
    rig.call();
}

#[test]
fn an_unknown_path_in_several_frames_is_read_past() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(0, "/none", 1, &[0; 300]);
    assert_eq!(rig.sent(), [sent(5, "/none", 1, NO_HANDLER)]);
    rig.frame(2, "/raw", 1, &[0; 300]);
    rig.frame(3, "/raw", 1, &[0; 300]);
    assert!(rig.sent().is_empty() && rig.events().is_empty());
    rig.frame(1, "/raw", 1, b"x");
    rig.call();
}

#[test]
fn requests_of_one_channel_are_answered_in_order() {
    let mut rig = ServerRig::plain(Limits::default(), 2);
    for name in ["a", "b", "c"] {
        rig.frame(1, "/raw", 1, name.as_bytes());
    }
    rig.frame(1, "/none", 1, b"d");
    rig.frame(1, "/raw", 1, b"e");
    rig.frame(1, "/raw", 2, b"other");
    let mut calls = rig.calls();
    assert_eq!(calls.len(), 2, "one at a time on a channel");
    assert_eq!(rig.session.in_flight(), 2);
    let (other, _) = calls.pop().unwrap();
    rig.answer(other, "other");
    assert_eq!(rig.sent(), [sent(5, "/raw", 2, "other")]);
    for name in ["a", "b", "c"] {
        let (call, data) = calls.pop().unwrap();
        assert_eq!(data, name);
        rig.answer(call, name);
        calls = rig.calls();
    }
    let texts: Vec<_> = rig
        .sent()
        .iter()
        .map(|frame| frame.text().to_owned())
        .collect();
    assert_eq!(texts, ["a", "b", "c", NO_HANDLER]);
    assert_eq!(calls[0].1, "e");
}

#[test]
fn a_call_is_answered_once() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw", 1, b"a");
    let first = rig.call();
    rig.answer(first, "a");
    assert!(!rig.session.respond(first, payload("again")));
    rig.frame(1, "/raw", 1, b"b");
    let second = rig.call();
    assert!(
        !rig.session.respond(first, payload("late")),
        "a late answer never meets a later call"
    );
    assert!(!rig.session.refuse(first, &ErrorReply::no_handler()));
    assert!(!rig.session.send(first, payload("late"), false));
    rig.answer(second, "b");
    let texts: Vec<_> = rig
        .sent()
        .iter()
        .map(|frame| frame.text().to_owned())
        .collect();
    assert_eq!(texts, ["a", "b"]);
    assert!(!rig.session.is_owed(CallId {
        channel: ChannelId(77),
        generation: 1
    }));
}

#[test]
fn an_empty_raw_answer_is_code_101() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    for empty in [
        payload(""),
        Payload::Chunks(Vec::new()),
        chunks([&b""[..], b""]),
    ] {
        rig.frame(1, "/raw", 1, b"x");
        let call = rig.call();
        assert!(
            rig.session.send(call, payload(""), false),
            "nothing is sent for nothing"
        );
        assert!(rig.session.respond(call, empty));
        assert_eq!(
            rig.sent(),
            [sent(
                5,
                "/raw",
                1,
                r#"{"code":101,"message":"handle no response"}"#
            )]
        );
    }
    let mut rig = ServerRig::native(Limits::default(), 4);
    for empty in [payload(""), Payload::Chunks(Vec::new())] {
        rig.frame(1, "/t.S/M", 2, &request_data(0, &[]));
        let call = rig.call();
        assert!(rig.session.respond(call, empty));
        assert_eq!(rig.sent(), [sent(5, "/", 2, response_data(0, &[]))]);
    }
}

#[test]
fn a_refusal_is_below_the_envelope() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/t.S/M", 2, &request_data(0, &[]));
    let call = rig.call();
    assert!(rig.session.refuse(call, &ErrorReply::new(109, "busy")));
    assert_eq!(
        rig.sent(),
        [sent(5, "/", 2, r#"{"code":109,"message":"busy"}"#)]
    );
    // Not once the response has begun.
    rig.frame(1, "/t.S/M", 2, &request_data(1, &[]));
    let call = rig.call();
    assert!(rig.session.send(call, payload("x"), false));
    let begun = rig.sent();
    assert_eq!(begun, [sent(4, "/", 2, response_data(1, b"x"))]);
    assert!(!rig.session.refuse(call, &ErrorReply::new(109, "busy")));
    rig.answer(call, "y");
    assert_eq!(rig.sent(), [sent(7, "/", 2, response_data(1, b"y"))]);
}

#[test]
fn a_request_of_several_frames() {
    for (native, path) in [
        (false, "/raw"),
        (false, "/t.S/M"),
        (true, "/raw"),
        (true, "/t.S/M"),
    ] {
        let mut rig = if native {
            ServerRig::native(Limits::default(), 4)
        } else {
            ServerRig::plain(Limits::default(), 4)
        };
        let data = |text: &[u8]| {
            if native && path == "/t.S/M" {
                request_data(7, text)
            } else {
                text.to_vec()
            }
        };
        rig.frame(0, path, 2, &data(b"one "));
        rig.frame(2, path, 2, &data(&[b'-'; 300]));
        assert!(rig.events().is_empty());
        rig.frame(3, "/", 2, &data(b" two"));
        let (call, whole) = rig.calls().remove(0);
        assert_eq!(whole, [&b"one "[..], &[b'-'; 300], b" two"].concat());
        rig.answer(call, "x");
        assert_eq!(rig.sent().len(), 1);
    }
}

#[test]
fn a_request_frame_by_frame() {
    for (native, path) in [(false, "/frames"), (true, "/frames"), (true, "/t.S/F")] {
        let mut rig = if native {
            ServerRig::native(Limits::default(), 4)
        } else {
            ServerRig::plain(Limits::default(), 4)
        };
        let data = |text: &[u8]| {
            if path == "/t.S/F" {
                request_data(7, text)
            } else {
                text.to_vec()
            }
        };
        rig.frame(0, path, 2, &data(b"one"));
        rig.frame(2, path, 2, &data(&[b'-'; 300]));
        rig.frame(3, path, 2, &data(b"two"));
        match &rig.events()[..] {
            [
                ServerEvent::Request {
                    call,
                    data: first,
                    complete: false,
                    ..
                },
                ServerEvent::Data {
                    call: next_call,
                    data: next,
                    last: false,
                },
                ServerEvent::Data {
                    call: last_call,
                    data: last,
                    last: true,
                },
            ] => {
                assert_eq!((call, call), (next_call, last_call));
                assert_eq!(
                    (&first[..], next.len(), &last[..]),
                    (&b"one"[..], 300, &b"two"[..])
                );
                rig.answer(*call, "x");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.sent().len(), 1);
    }
}

#[test]
fn a_frame_by_frame_request_behind_another_is_whole() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw", 1, b"first");
    rig.frame(0, "/frames", 1, b"a");
    rig.frame(3, "/frames", 1, b"b");
    let first = rig.call();
    rig.answer(first, "x");
    match &rig.events()[..] {
        [
            ServerEvent::Request {
                data,
                complete: true,
                ..
            },
        ] => assert_eq!(&data[..], b"ab"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_early_answer_makes_the_rest_be_read_past() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(0, "/frames", 2, b"a");
    let call = rig.call();
    rig.answer(call, "enough");
    assert_eq!(rig.sent(), [sent(5, "/", 2, "enough")]);
    rig.feed(&encode_head(2, "/", 2, 1_000_000));
    for _ in 0..10 {
        rig.feed(&[0; 100_000]);
        assert!(rig.input.is_empty());
    }
    rig.frame(3, "/", 2, &[0]);
    assert!(rig.events().is_empty());
    rig.frame(1, "/raw", 2, b"next");
    assert_eq!(rig.calls()[0].1, "next");
}

#[test]
fn another_calls_data_in_a_request_is_a_violation() {
    for path in ["/t.S/M", "/t.S/F"] {
        for wrong in [&request_data(8, b"x")[..], b"xxxxxx", &[0x0f, 0x80, 0, 7]] {
            let mut rig = ServerRig::with_events(Limits::default(), 4);
            rig.frame(0, path, 2, &request_data(7, b"x"));
            rig.frame(3, "/", 2, wrong);
            assert_eq!(
                rig.violation(),
                Some(&Violation::WrongEnvelope(ChannelId(2)))
            );
            let goaway = rig.sent().pop().unwrap();
            assert_eq!((goaway.kind, goaway.channel), (6, 1));
            let (seq, records) = goaway.records();
            assert_eq!((seq, records[0], &records[2..5]), (0, 20, &[1, 2, 7][..]));
            assert!(String::from_utf8_lossy(records).contains("channel 2"));
        }
    }
}

#[test]
fn a_response_of_several_frames() {
    let large: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    // A plain client gets one frame, a native one frames of at most 32 KiB.
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw", 1, b"x");
    let call = rig.call();
    rig.answer(call, &large);
    assert_eq!(rig.sent(), [sent(5, "/raw", 1, &large)]);
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"x");
    let call = rig.call();
    rig.answer(call, &large);
    let frames = rig.sent();
    let shape: Vec<_> = frames
        .iter()
        .map(|frame| (frame.kind, frame.data.len()))
        .collect();
    assert_eq!(shape, [(4, 32_768), (6, 32_768), (6, 32_768), (7, 1696)]);
    assert_eq!(
        frames
            .iter()
            .flat_map(|frame| frame.data.clone())
            .collect::<Vec<_>>(),
        large
    );

    rig.frame(1, "/t.S/M", 2, &request_data(5, &[]));
    let call = rig.call();
    assert!(rig.session.send(call, payload("a"), false));
    assert!(
        rig.session
            .send(call, chunks([&large[..30_000], &large[..30_000]]), false)
    );
    assert_eq!(rig.session.unsent(call), 60_001);
    assert!(rig.session.respond(call, payload("z")));
    let frames = rig.sent();
    let shape: Vec<_> = frames
        .iter()
        .map(|frame| (frame.kind, frame.data.len()))
        .collect();
    assert_eq!(shape, [(4, 5), (6, 30_004), (7, 30_005)]);
    assert!(frames.iter().all(|frame| frame.records().0 == 5));
    assert!(matches!(rig.events()[..], [ServerEvent::Writable { call: of }] if of == call));
}

#[test]
fn a_sender_hears_when_little_is_left_in_its_queue() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/raw", 2, b"x");
    let call = rig.call();
    assert!(rig.session.send(call, payload([0; 120_000]), false));
    let mut out = Vec::new();
    rig.session.poll_transmit(&mut out);
    assert!(rig.events().is_empty() && rig.session.unsent(call) > 0);
    rig.sent();
    assert!(matches!(rig.events()[..], [ServerEvent::Writable { call: of }] if of == call));
    assert_eq!(rig.session.unsent(call), 0);
}

#[test]
fn a_plain_client_that_ends_its_direction_gets_its_answers() {
    let mut rig = ServerRig::plain(Limits::default(), 2);
    for channel in [1, 1, 2] {
        rig.frame(1, "/raw", channel, b"x");
    }
    rig.session.handle_eof();
    assert!(!rig.session.wants_read());
    let mut answered = 0;
    loop {
        let calls = rig.calls();
        if calls.is_empty() {
            break;
        }
        for (call, _) in calls {
            assert_eq!(rig.session.ended(), None);
            rig.answer(call, "y");
            answered += 1;
        }
    }
    assert_eq!(answered, 3);
    assert_eq!(rig.session.ended(), Some(&Ended::ByPeer));
    assert_eq!(rig.sent().len(), 3);
    // With nothing owed it is the end, and for a native client always.
    let mut rig = ServerRig::plain(Limits::default(), 2);
    rig.session.handle_eof();
    assert_eq!(rig.session.ended(), Some(&Ended::ByPeer));
    let mut rig = ServerRig::native(Limits::default(), 2);
    rig.frame(1, "/raw", 1, b"x");
    rig.session.handle_eof();
    assert_eq!(rig.session.ended(), Some(&Ended::ByPeer));
}

#[test]
fn what_is_missing_of_a_frame_is_known() {
    let mut server = ServerRig::plain(Limits::default(), 1);
    let mut client = ClientRig::plain(ClientConfig::default());
    client.raw(b"x");
    client.sent();
    assert_eq!(
        (server.session.missing(0), client.session.missing(0)),
        (0, 0)
    );
    server.feed(&encode_head(1, "/raw", 1, 1000));
    client.feed(&encode_head(5, "/raw", 1, 1000));
    let head = server.input.len();
    assert_eq!(
        (server.session.missing(head), client.session.missing(head)),
        (1000, 1000)
    );
    assert_eq!(server.session.missing(head + 990), 10);
}

#[test]
fn each_request_goes_to_the_route_of_its_path() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    for (path, expected) in [
        ("/t.S/M", Some(TYPED)),
        ("/t.S/M", Some(TYPED)),
        ("/t.S/M?a=1", Some(TYPED)),
        ("/t.S/M?a=%00", None),
        ("/t.S/M/", None),
        ("/t.S/", None),
        ("/t.S/F", Some(TYPED_FRAMES)),
        ("/t.S/M", Some(TYPED)),
        ("/raw", Some(RAW)),
        ("/t.S/F", Some(TYPED_FRAMES)),
        ("/sys/new_channel", None),
        ("/frames", Some(FRAMES)),
    ] {
        rig.frame(1, path, 2, &request_data(0, &[2, 0]));
        assert!(rig.session.has_events() == expected.is_some(), "{path}");
        let mut events = std::collections::VecDeque::new();
        rig.session.take_events(&mut events);
        match (events.pop_front(), expected) {
            (Some(ServerEvent::Request { call, route, .. }), Some(expected)) => {
                assert_eq!(route, expected, "{path}");
                rig.answer(call, "y");
            }
            (None, None) => {}
            other => panic!("{path}: {other:?}"),
        }
        assert_eq!(rig.sent().len(), 1);
    }
}
