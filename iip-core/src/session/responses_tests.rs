//! A client's responses: whose they are, in how many frames, how large.

use super::rig_tests::*;
use super::*;
use crate::wire::ChannelId;

fn native() -> ClientRig {
    ClientRig::native(ClientConfig::default(), 4)
}

#[test]
fn sequence_numbers_count_typed_calls_and_wrap() {
    let mut rig = ClientRig::native(ClientConfig::default(), 2);
    for round in 0..=65_537u32 {
        let call = rig.typed(&[2, 0]);
        let seq = round as u16;
        if !(3..=65_533).contains(&round) {
            assert_eq!(rig.sent()[0].records(), (seq, &[2, 0][..]));
            let raw = round % 2 == 0;
            rig.frame(5, "/", 2, &response_data(seq, &[2, 0]));
            rig.release(call);
            if raw {
                // Raw calls do not count.
                let call = rig.raw(b"x");
                rig.sent();
                rig.frame(5, "/", 2, b"y");
                rig.release(call);
            }
        } else {
            rig.output.clear();
            rig.session.poll_transmit(&mut rig.output);
            rig.output.clear();
            rig.feed(&encode(5, "/", 2, &response_data(seq, &[2, 0])));
            rig.release(call);
        }
        rig.events();
        assert_eq!(rig.session.ended(), None, "round {round}");
    }
}

#[test]
fn a_response_of_another_call_is_a_violation() {
    let wrong: [&[u8]; 7] = [
        &response_data(1, &[2, 0]),
        &response_data(0xff00, &[2, 0]),
        &request_data(0, &[2, 0]),
        &[0x0f, 0x81, 0, 0],
        &[0x0f, 0x80, 0],
        &[0x0e, 0x80, 0, 0],
        b"plain data",
    ];
    for data in wrong {
        for kind in [4, 5] {
            let mut rig = native();
            rig.typed(&[2, 0]);
            rig.sent();
            rig.frame(kind, "/", 2, data);
            assert_eq!(
                rig.violation(),
                Some(&Violation::WrongEnvelope(ChannelId(2))),
                "{data:?}"
            );
            assert!(rig.responses().is_empty());
        }
    }
    let mut rig = native();
    rig.typed(&[2, 0]);
    rig.sent();
    rig.frame(4, "/", 2, &response_data(0, &[2, 0]));
    rig.frame(7, "/", 2, &response_data(1, &[]));
    assert_eq!(
        rig.violation(),
        Some(&Violation::WrongEnvelope(ChannelId(2)))
    );
    // GOAWAY names the call.
    let goaway = rig.sent().pop().unwrap();
    assert_eq!((goaway.kind, goaway.channel), (2, 1));
    assert_eq!(
        goaway.records().1[..5],
        [20, goaway.data.len() as u8 - 6, 1, 2, 0]
    );
}

#[test]
fn a_refusal_fails_its_call_only() {
    let mut rig = native();
    let refused = rig.typed(&[2, 0]);
    let other = rig.typed(&[2, 0]);
    rig.sent();
    rig.frame(5, "/", 2, br#"{"code":109,"message":"overloaded"}"#);
    match &rig.events()[..] {
        [ClientEvent::Refused { call, reply }] => {
            assert_eq!(
                (*call, reply),
                (refused, &ErrorReply::new(109, "overloaded"))
            );
        }
        other => panic!("{other:?}"),
    }
    rig.release(refused);
    rig.frame(5, "/", 3, &response_data(0, &[2, 0]));
    assert_eq!(rig.responses(), [(other, vec![2, 0].into())]);
    // The channel goes on, with the next number.
    rig.typed(&[2, 0]);
    assert_eq!(rig.sent()[0].records().0, 1);
}

#[test]
fn a_refusal_that_cannot_be_read_fails_its_call_only() {
    for data in [&b"{"[..], b"{}", br#"{"code":0}"#, br#"{"code":"x"}"#] {
        let mut rig = native();
        rig.typed(&[2, 0]);
        rig.sent();
        rig.frame(5, "/", 2, data);
        let events = rig.events();
        assert!(
            matches!(&events[..], [ClientEvent::Refused { reply, .. }] if reply.code == ErrorReply::UNKNOWN),
            "{events:?}"
        );
        assert_eq!(rig.session.ended(), None);
    }
    // A refusal is one frame.
    let mut rig = native();
    rig.typed(&[2, 0]);
    rig.sent();
    rig.frame(4, "/", 2, br#"{"code":109"#);
    assert_eq!(
        rig.violation(),
        Some(&Violation::WrongEnvelope(ChannelId(2)))
    );
}

#[test]
fn an_error_object_is_data_to_a_raw_call() {
    let mut rig = native();
    let call = rig.raw(b"x");
    rig.sent();
    rig.frame(5, "/", 2, br#"{"code":102,"message":"handle error"}"#);
    assert_eq!(rig.responses()[0].0, call);
}

#[test]
fn an_answer_nobody_asked_for_is_delivered_to_nobody() {
    // Twice.
    let mut rig = native();
    let call = rig.raw(b"x");
    rig.sent();
    rig.feed(&[encode(5, "/", 2, b"y"), encode(5, "/", 2, b"z")].concat());
    assert_eq!(
        rig.violation(),
        Some(&Violation::ResponseWithoutRequest(ChannelId(2)))
    );
    assert_eq!(rig.responses(), [(call, "y".into())]);
    // On a channel whose next call has not been sent.
    let mut rig = native();
    let large = [0; 100_000];
    rig.open("/raw", OpenOptions::default(), payload(large));
    rig.frame(5, "/", 2, b"y");
    assert_eq!(
        rig.violation(),
        Some(&Violation::ResponseWithoutRequest(ChannelId(2)))
    );
    assert!(rig.responses().is_empty());
}

#[test]
fn a_plain_server_names_the_path_it_answers() {
    for (path, ok) in [
        ("/raw", true),
        ("/raw?a=1", false),
        ("/", false),
        ("/raw2", false),
        ("/sys/x", false),
    ] {
        let mut rig = ClientRig::plain(ClientConfig::default());
        let call = rig.open("/raw?a=1", OpenOptions::default(), payload("x"));
        assert_eq!(rig.sent(), [sent(1, "/raw?a=1", 1, "x")]);
        rig.frame(5, path, 1, b"y");
        if ok {
            assert_eq!(rig.responses(), [(call, "y".into())]);
        } else {
            assert_eq!(rig.violation(), Some(&Violation::WrongPath(ChannelId(1))));
            assert!(rig.responses().is_empty());
        }
    }
    // Native servers may write what they like there.
    let mut rig = native();
    rig.raw(b"x");
    rig.sent();
    rig.frame(5, "/any/thing", 2, b"y");
    assert_eq!(rig.session.ended(), None);
}

#[test]
fn a_response_of_several_frames() {
    for is_typed in [false, true] {
        for delivery in [Delivery::Whole, Delivery::Frames] {
            let mut rig = native();
            let format = if is_typed {
                Format::Enveloped
            } else {
                Format::Raw
            };
            let call = rig.open(
                "/raw",
                OpenOptions {
                    format,
                    delivery,
                    ..OpenOptions::default()
                },
                payload("x"),
            );
            rig.sent();
            let data = |text: &[u8]| {
                if is_typed {
                    response_data(0, text)
                } else {
                    text.to_vec()
                }
            };
            rig.frame(4, "/", 2, &data(b"one "));
            rig.frame(6, "/", 2, &data(&[b'-'; 300]));
            rig.frame(7, "/", 2, &data(b" two"));
            let mut all = Vec::new();
            let mut ends = Vec::new();
            for event in rig.events() {
                match event {
                    ClientEvent::Response {
                        call: of,
                        data,
                        last,
                    } => {
                        assert_eq!(of, call);
                        all.extend_from_slice(&data);
                        ends.push(last);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(all, [&b"one "[..], &[b'-'; 300], b" two"].concat());
            let expected: &[bool] = if delivery == Delivery::Whole {
                &[true]
            } else {
                &[false, false, true]
            };
            assert_eq!(ends, expected);
        }
    }
}

#[test]
fn an_early_answer_ends_the_request() {
    for is_typed in [false, true] {
        let mut rig = native();
        let format = if is_typed {
            Format::Enveloped
        } else {
            Format::Raw
        };
        let options = OpenOptions {
            format,
            more: true,
            ..OpenOptions::default()
        };
        let large = vec![0; 1_000_000];
        let call = rig.open("/raw", options, payload("begin"));
        assert!(rig.session.send(call, chunks(large.chunks(30_000)), false));
        let mut out = Vec::new();
        rig.session.poll_transmit(&mut out);
        assert!(rig.session.unsent(call) > 500_000);
        rig.frame(
            5,
            "/",
            2,
            &if is_typed {
                response_data(0, b"no")
            } else {
                b"no".to_vec()
            },
        );
        assert_eq!(rig.responses(), [(call, "no".into())]);
        assert_eq!(rig.session.unsent(call), 0);
        assert!(!rig.session.send(call, payload("more"), true));
        let last: &[u8] = if is_typed {
            &request_data(0, &[6, 1, 0])
        } else {
            &[0]
        };
        assert_eq!(rig.sent(), [sent(3, "/", 2, last)]);
        rig.release(call);
        assert_eq!(rig.session.available(), 3);
    }
}

#[test]
fn a_response_that_is_too_large_fails_its_call_and_is_read_past() {
    for (is_typed, first) in [(false, 4), (false, 5), (true, 4), (true, 5)] {
        let limits = Limits::default().max_message(100_000);
        let mut rig = ClientRig::native(ClientRig::with_limits(limits), 3);
        let call = if is_typed {
            rig.typed(b"x")
        } else {
            rig.raw(b"x")
        };
        let other = rig.raw(b"x");
        rig.sent();
        let chunk = if is_typed {
            response_data(0, &[7; 60_000])
        } else {
            vec![7; 60_000]
        };
        if first == 5 {
            // Refused when the header has come: nothing of it is kept.
            rig.feed(&encode_head(5, "/", 2, 1_000_000));
        } else {
            rig.frame(4, "/", 2, &chunk);
            rig.frame(6, "/", 2, &chunk);
            rig.frame(6, "/", 2, &chunk);
        }
        let events = rig.events();
        assert!(
            matches!(events[..], [ClientEvent::TooLarge { call: of, limit: 100_000, budget: false }] if of == call),
            "{events:?}"
        );
        if first == 5 {
            for _ in 0..10 {
                rig.feed(&[0; 100_000]);
                assert!(rig.input.is_empty());
            }
        } else {
            rig.frame(7, "/", 2, &chunk);
        }
        rig.release(call);
        assert_eq!(rig.session.available(), 1);
        rig.frame(5, "/", 3, b"y");
        assert_eq!(
            rig.responses(),
            [(other, "y".into())],
            "the rest is read past"
        );
    }
}

#[test]
fn a_refused_response_has_to_end() {
    let limits = Limits::default().max_message(1000);
    let mut rig = ClientRig::native(ClientRig::with_limits(limits), 3);
    rig.raw(b"x");
    rig.sent();
    rig.frame(4, "/", 2, &[0; 1001]);
    // Twice the limit and a largest frame are tolerated.
    let megabyte = vec![0; 1 << 20];
    for _ in 0..16 {
        rig.frame(6, "/", 2, &megabyte);
        assert_eq!(rig.session.ended(), None);
    }
    rig.frame(6, "/", 2, &[0; 1000]);
    assert_eq!(rig.violation(), Some(&Violation::Endless(ChannelId(2))));
}

#[test]
fn a_frame_by_frame_response_has_frames_of_any_size() {
    let limits = Limits::default().max_message(1000);
    let mut rig = ClientRig::native(ClientRig::with_limits(limits), 3);
    let call = rig.open(
        "/raw",
        OpenOptions {
            delivery: Delivery::Frames,
            ..OpenOptions::default()
        },
        payload("x"),
    );
    rig.sent();
    let large = encode(5, "/", 2, &[1; 5000]);
    let (head, rest) = large.split_at(100);
    rig.feed(head);
    rig.feed(rest);
    assert_eq!(rig.responses(), [(call, vec![1; 5000].into())]);
}

#[test]
fn the_receive_budget_bounds_all_responses_together() {
    let limits = Limits::default().receive_budget(330_000);
    let mut rig = ClientRig::native(ClientRig::with_limits(limits), 4);
    let one = rig.raw(b"x");
    let two = rig.raw(b"x");
    rig.sent();
    rig.frame(4, "/", 2, &[0; 180_000]);
    rig.frame(4, "/", 3, &[0; 180_000]);
    assert!(
        matches!(rig.events()[..], [ClientEvent::TooLarge { call, limit: 330_000, budget: true }] if call == two)
    );
    rig.frame(7, "/", 2, &[0; 90_000]);
    assert_eq!(rig.responses()[0].0, one);
    rig.frame(7, "/", 3, b"x");
    rig.release(one);
    rig.release(two);
    // What was held is given back.
    let call = rig.raw(b"x");
    rig.sent();
    rig.frame(4, "/", call.channel.0, &[0; 270_000]);
    rig.release(call);
    rig.frame(7, "/", call.channel.0, &[0; 1]);
    let call = rig.raw(b"x");
    rig.sent();
    rig.frame(4, "/", call.channel.0, &[0; 270_000]);
    rig.frame(7, "/", call.channel.0, &[0; 1]);
    assert_eq!(rig.responses()[0].1.len(), 270_001);
}
