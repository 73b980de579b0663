//! The hello and the grants of channels, on both sides.

use super::control::{Hello, HelloReply, grant_json, parse_grant};
use super::rig_tests::*;
use super::*;
use crate::wire::ChannelId;

const PLAIN_ANSWER: &[u8] = br#"{"code":102,"message":"handle error"}"#;

#[test]
fn a_client_begins_with_hello_and_a_channel_request() {
    let mut rig = ClientRig::new(ClientRig::with_limits(
        Limits::default()
            .window(40_000)
            .max_message(6)
            .max_channels(7),
    ));
    let hello = format!(
        "{{\"v\":1,\"min\":1,\"window\":40000,\"max_message\":6,\"channels\":7,\"encodings\":[],\"agent\":\"iip-rpc/{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        rig.sent(),
        [
            sent(1, "/sys/hello", 0, hello),
            sent(1, "/sys/new_channel", 0, "{}")
        ]
    );
    assert_eq!(
        (
            rig.session.profile(),
            rig.session.is_ready(),
            rig.session.available()
        ),
        (None, false, 0)
    );
}

#[test]
fn a_client_that_knows_its_server_is_plain_says_no_hello() {
    let mut rig = ClientRig::new(ClientConfig {
        plain: true,
        ..ClientConfig::default()
    });
    assert_eq!(rig.sent(), [sent(1, "/sys/new_channel", 0, "{}")]);
    assert_eq!(rig.session.profile(), Some(Profile::Plain));
    assert!(!rig.session.is_ready());
}

#[test]
fn a_native_answer_makes_the_client_native() {
    let mut rig = ClientRig::new(ClientConfig::default());
    rig.sent();
    let answer = br#"{"code":0,"v":1,"window":40000,"max_message":1000,"channels":5,"timeout_us":1500,"encodings":["x"],"new":{}}"#;
    rig.frame(5, "/sys/hello", 0, answer);
    assert!(matches!(rig.events()[..], [ClientEvent::Ready]));
    assert_eq!(rig.session.profile(), Some(Profile::Native));
    assert_eq!(
        rig.session.server_timeout(),
        Some(std::time::Duration::from_micros(1500))
    );
    assert_eq!(rig.session.server_max_message(), 1000);
    // The event stream takes one of five.
    assert_eq!(
        rig.sent(),
        [sent(0, "/sys/events", 1, request_data(0, &[]))]
    );
    assert_eq!(rig.session.available(), 4);
    rig.frame(5, "/", 0, br#"{"code":0,"channel_id":6}"#);
    assert_eq!(rig.session.available(), 5);
}

#[test]
fn absent_numbers_of_the_answer_have_their_defaults() {
    let reply = HelloReply::parse(br#"{"code":0,"v":1}"#).unwrap();
    assert_eq!(
        (
            reply.window,
            reply.max_message,
            reply.channels,
            reply.timeout
        ),
        (32 << 10, 4 << 20, 2, None)
    );
    let reply = HelloReply::parse(
        br#"{"code":0,"v":1,"channels":1,"window":-5,"max_message":99999999999}"#,
    )
    .unwrap();
    assert_eq!(
        (reply.window, reply.max_message, reply.channels),
        (0, u32::MAX as usize, 2)
    );
    let hello = Hello::parse(br#"{"v":3}"#).unwrap();
    assert_eq!(
        (
            hello.version,
            hello.min,
            hello.window,
            hello.max_message,
            hello.channels
        ),
        (3, 3, 32 << 10, 4 << 20, 2)
    );
}

#[test]
fn what_does_not_answer_the_hello_is_plain() {
    for answer in [
        PLAIN_ANSWER,
        br#"{"code":-1,"message":"handler fail:what is this"}"#,
        br#"{"code":0}"#,
        br#"{"v":1}"#,
        br#"{"code":0,"v":"1"}"#,
        br#"[]"#,
        b"hello yourself",
        b"\xff\xfe",
    ] {
        let mut rig = ClientRig::new(ClientConfig::default());
        rig.sent();
        rig.frame(5, "/sys/hello", 0, answer);
        assert_eq!(rig.session.profile(), Some(Profile::Plain));
        assert!(rig.events().is_empty(), "there is no channel yet");
        rig.frame(5, "/sys/new_channel", 0, br#"{"code":0,"channel_id":1}"#);
        assert!(matches!(rig.events()[..], [ClientEvent::Ready]));
        assert_eq!((rig.session.available(), rig.session.ended()), (1, None));
        assert!(
            rig.sent().is_empty(),
            "nothing native is said to a plain server"
        );
        assert_eq!(rig.session.server_max_message(), 16 << 20);
    }
}

#[test]
fn another_version_ends_the_client() {
    for version in [0, 2, 3] {
        let mut rig = ClientRig::new(ClientConfig::default());
        rig.frame(
            5,
            "/",
            0,
            format!("{{\"code\":0,\"v\":{version}}}").as_bytes(),
        );
        let theirs = version;
        let ended = rig.session.ended().unwrap();
        assert_eq!(*ended, Ended::Version { ours: 1, theirs });
        assert_eq!(
            ended.to_string(),
            format!("no common version of the protocol: this side speaks 1, the peer {version}")
        );
    }
}

#[test]
fn no_answer_is_an_error_and_never_plain() {
    let mut rig = ClientRig::new(ClientConfig::default());
    rig.sent();
    rig.advance(SECOND * 5 - SECOND / 1000);
    assert_eq!(rig.session.ended(), None);
    rig.advance(SECOND / 1000);
    assert_eq!(rig.session.ended(), Some(&Ended::Silent("the hello")));
    assert_eq!(rig.session.profile(), None);

    // Nor does an answer to the hello alone, from a plain server, do.
    let mut rig = ClientRig::new(ClientConfig::default());
    rig.frame(5, "/", 0, PLAIN_ANSWER);
    rig.advance(SECOND * 6);
    assert_eq!(rig.session.ended(), Some(&Ended::Silent("the hello")));
}

#[test]
fn answers_on_channel_0_are_bounded() {
    for kind in [4, 5] {
        let mut rig = ClientRig::new(ClientConfig::default());
        rig.feed(&encode_head(kind, "/", 0, 64 * 1024 + 1));
        assert_eq!(rig.violation(), Some(&Violation::BadControl));
    }
    let mut rig = ClientRig::new(ClientConfig::default());
    rig.frame(4, "/", 0, &[b' '; 40_000]);
    rig.frame(7, "/", 0, &[b' '; 40_000]);
    assert_eq!(rig.violation(), Some(&Violation::BadControl));
    // An answer may come in pieces.
    let mut rig = ClientRig::new(ClientConfig::default());
    rig.frame(4, "/", 0, br#"{"code":0,"#);
    rig.frame(6, "/", 0, b"                                  ");
    rig.frame(7, "/", 0, br#""v":1}"#);
    assert_eq!(rig.session.profile(), Some(Profile::Native));
}

#[test]
fn a_plain_server_has_to_grant_the_first_channel() {
    let mut rig = ClientRig::new(ClientConfig {
        plain: true,
        ..ClientConfig::default()
    });
    rig.frame(
        5,
        "/sys/new_channel",
        0,
        br#"{"code":106,"message":"channel create limited"}"#,
    );
    assert_eq!(rig.violation(), Some(&Violation::BadControl));
}

#[test]
fn a_number_granted_twice_is_a_violation() {
    for answer in [1, 2, 3, 4, 99_999_999] {
        let mut rig = ClientRig::new(ClientConfig::default());
        rig.frame(5, "/", 0, br#"{"code":0,"v":1,"channels":4}"#);
        rig.frame(5, "/", 0, grant_json(answer).as_bytes());
        assert_eq!(rig.violation(), Some(&Violation::BadControl), "{answer}");
    }
    let mut rig = ClientRig::plain(ClientConfig::default());
    rig.session.want_channels();
    rig.frame(5, "/sys/new_channel", 0, br#"{"code":0,"channel_id":1}"#);
    assert_eq!(rig.violation(), Some(&Violation::BadControl));
}

#[test]
fn the_client_uses_the_number_that_was_granted() {
    let mut rig = ClientRig::new(ClientConfig {
        plain: true,
        ..ClientConfig::default()
    });
    rig.frame(5, "/sys/new_channel", 0, br#"{"code":0,"channel_id":5000}"#);
    let call = rig.raw(b"x");
    assert_eq!(call.channel, ChannelId(5000));
    rig.sent();
    rig.frame(5, "/raw", 5000, b"y");
    assert_eq!(rig.responses(), [(call, "y".into())]);
}

#[test]
fn a_client_asks_for_twice_as_many_channels_until_it_is_refused() {
    let mut rig = ClientRig::plain(ClientRig::with_limits(Limits::default().max_channels(7)));
    let mut next = 2;
    for asked in [1, 2, 3] {
        rig.session.want_channels();
        rig.session.want_channels();
        let sent = rig.sent();
        assert_eq!(
            sent.len(),
            asked,
            "asked once, for as many as there are, up to the limit"
        );
        assert!(sent.iter().all(|frame| frame.path == "/sys/new_channel"));
        for _ in 0..asked {
            rig.frame(5, "/sys/new_channel", 0, grant_json(next).as_bytes());
            next += 1;
        }
    }
    assert_eq!(rig.session.available(), 7);
    rig.session.want_channels();
    assert!(rig.sent().is_empty());

    let mut rig = ClientRig::plain(ClientConfig::default());
    rig.session.want_channels();
    rig.frame(
        5,
        "/sys/new_channel",
        0,
        br#"{"code":106,"message":"channel create limited"}"#,
    );
    assert_eq!(rig.session.ended(), None);
    // Who waits for a channel has to know.
    assert!(matches!(rig.events()[..], [ClientEvent::Capacity]));
    rig.sent();
    rig.session.want_channels();
    assert!(rig.sent().is_empty(), "a refusal is final");
}

#[test]
fn a_plain_connection_has_at_most_96_channels() {
    let mut rig = ClientRig::plain(ClientConfig::default());
    let mut next = 2;
    loop {
        rig.session.want_channels();
        let asked = rig.sent().len();
        if asked == 0 {
            break;
        }
        for _ in 0..asked {
            rig.frame(5, "/sys/new_channel", 0, grant_json(next).as_bytes());
            next += 1;
        }
    }
    assert_eq!(rig.session.available(), 96);
}

#[test]
fn a_call_without_a_channel_asks_for_one_and_hears_of_it() {
    let mut rig = ClientRig::plain(ClientConfig::default());
    rig.raw(b"one");
    let path = crate::wire::Path::from_static("/raw");
    match rig
        .session
        .open(&path, OpenOptions::default(), payload("two"), rig.now)
    {
        Err(OpenError::NoChannel(payload)) => assert_eq!(payload.len(), 3),
        other => panic!("{other:?}"),
    }
    let paths: Vec<_> = rig.sent().into_iter().map(|frame| frame.path).collect();
    assert_eq!(paths, ["/raw", "/sys/new_channel"]);
    rig.frame(5, "/sys/new_channel", 0, br#"{"code":0,"channel_id":2}"#);
    assert!(matches!(rig.events()[..], [ClientEvent::Capacity]));
    assert_eq!(rig.raw(b"two").channel, ChannelId(2));
}

#[test]
fn a_server_answers_a_hello() {
    let mut rig = ServerRig::new(Limits::default().window(40_000).max_message(600));
    rig.frame(
        1,
        "/sys/hello",
        0,
        br#"{"v":1,"min":1,"channels":3,"unknown":[1]}"#,
    );
    let frames = rig.sent();
    let expected = format!(
        "{{\"code\":0,\"v\":1,\"window\":40000,\"max_message\":600,\"channels\":3,\"timeout_us\":10000000,\
         \"encodings\":[],\"agent\":\"iip-rpc/{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        (frames.len(), frames[0].kind, frames[0].text()),
        (1, 5, &expected[..])
    );
    // Channels 1 to 3 are open, and grants go on behind them.
    rig.frame(1, "/none", 3, b"x");
    rig.frame(1, "/sys/new_channel", 0, b"{}");
    assert_eq!(
        rig.sent()[1],
        sent(5, "/", 0, r#"{"code":0,"channel_id":4}"#)
    );
    rig.frame(1, "/none", 4, b"x");
    assert_eq!(rig.session.ended(), None);
    rig.frame(1, "/none", 5, b"x");
    assert_eq!(
        rig.violation(),
        Some(&Violation::UnknownChannel(ChannelId(5)))
    );
}

#[test]
fn a_server_without_a_default_timeout_announces_none() {
    let now = std::time::Instant::now();
    let mut session = ServerSession::new(std::sync::Arc::new(Limits::default()), Routes, None, now);
    let mut input = bytes::BytesMut::from(&encode(1, "/sys/hello", 0, br#"{"v":1}"#)[..]);
    let count = input.len();
    session.handle(&mut input, count, now);
    let mut out = Vec::new();
    session.poll_transmit(&mut out);
    let frames = decode_all(&out);
    assert!(
        !frames[0].text().contains("timeout_us"),
        "{}",
        frames[0].text()
    );
    assert_eq!(HelloReply::parse(&frames[0].data).unwrap().channels, 2);
}

#[test]
fn a_hello_that_is_none_is_refused_and_the_client_stays_plain() {
    let refused = sent(5, "/sys/hello", 0, PLAIN_ANSWER);
    for data in [
        &b"{}"[..],
        b"what",
        br#"{"v":0}"#,
        br#"{"v":"1"}"#,
        br#"[1]"#,
    ] {
        let mut rig = ServerRig::new(Limits::default());
        rig.frame(1, "/sys/hello", 0, data);
        assert_eq!(
            (rig.sent(), rig.session.profile()),
            (vec![refused.clone()], Profile::Plain)
        );
    }
    // After a channel request, or on another channel, or in pieces, it comes too late.
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/sys/hello", 0, br#"{"v":1}"#);
    rig.frame(1, "/sys/hello", 1, br#"{"v":1}"#);
    assert_eq!(
        rig.sent(),
        [refused, sent(5, "/sys/hello", 1, PLAIN_ANSWER)]
    );
    let mut rig = ServerRig::new(Limits::default());
    rig.frame(0, "/sys/hello", 0, br#"{"v""#);
    rig.frame(3, "/sys/hello", 0, br#":1}"#);
    assert_eq!(
        (rig.sent().len(), rig.session.profile()),
        (1, Profile::Plain)
    );
    // A second one changes nothing.
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.frame(1, "/sys/hello", 0, br#"{"v":1,"channels":9}"#);
    assert_eq!(rig.sent(), [sent(5, "/", 0, PLAIN_ANSWER)]);
    rig.frame(1, "/none", 5, b"x");
    assert_eq!(
        rig.violation(),
        Some(&Violation::UnknownChannel(ChannelId(5)))
    );
}

#[test]
fn a_client_that_is_too_new_is_told_the_version() {
    let mut rig = ServerRig::new(Limits::default());
    rig.frame(1, "/sys/hello", 0, br#"{"v":3,"min":2}"#);
    assert_eq!(HelloReply::parse(&rig.sent()[0].data).unwrap().version, 1);
    let (ours, theirs) = (1, 2);
    assert_eq!(rig.session.ended(), Some(&Ended::Version { ours, theirs }));
    // One that can still speak this version is served.
    let mut rig = ServerRig::new(Limits::default());
    rig.frame(1, "/sys/hello", 0, br#"{"v":2,"min":1}"#);
    assert_eq!(HelloReply::parse(&rig.sent()[0].data).unwrap().version, 1);
    assert_eq!(
        (rig.session.ended(), rig.session.profile()),
        (None, Profile::Native)
    );
}

#[test]
fn a_plain_client_gets_channels_1_2_3() {
    let mut rig = ServerRig::new(Limits::default());
    rig.frame(1, "/raw", 0, b"channel 0 exists from the start");
    let call = rig.call();
    rig.answer(call, "yes");
    assert_eq!(rig.sent(), [sent(5, "/raw", 0, "yes")]);
    for number in 1..=5 {
        rig.frame(1, "/sys/new_channel", 0, b"{}");
        let grant = format!("{{\"code\":0,\"channel_id\":{number}}}");
        assert_eq!(rig.sent(), [sent(5, "/sys/new_channel", 0, grant)]);
    }
    // Capacity, not identity: any number up to the highest will do, in any order.
    for channel in [5, 1, 3] {
        rig.frame(1, "/raw", channel, b"x");
        assert_eq!(rig.call().channel, ChannelId(channel));
    }
    rig.frame(1, "/raw", 6, b"x");
    assert_eq!(
        rig.violation(),
        Some(&Violation::UnknownChannel(ChannelId(6)))
    );
}

#[test]
fn a_grant_in_pieces_is_one_grant() {
    let mut rig = ServerRig::new(Limits::default());
    rig.frame(0, "/sys/new_channel", 0, b"{");
    rig.frame(2, "/sys/new_channel", 0, b" ");
    rig.frame(3, "/sys/new_channel", 0, b"}");
    rig.frame(1, "/sys/new_channel", 0, b"{}");
    let texts: Vec<_> = rig
        .sent()
        .iter()
        .map(|frame| frame.text().to_owned())
        .collect();
    assert_eq!(
        texts,
        [
            r#"{"code":0,"channel_id":1}"#,
            r#"{"code":0,"channel_id":2}"#
        ]
    );
}

#[test]
fn a_deleted_channel_begins_anew() {
    let mut rig = ServerRig::plain(Limits::default(), 1);
    rig.frame(1, "/raw", 1, b"x");
    rig.frame(1, "/sys/delete_channel", 1, b"{}");
    let call = rig.call();
    assert!(rig.sent().is_empty(), "it is answered in its turn");
    rig.answer(call, "y");
    rig.frame(1, "/raw", 1, b"z");
    let call = rig.call();
    rig.answer(call, "again");
    assert_eq!(
        rig.sent(),
        [
            sent(5, "/raw", 1, "y"),
            sent(5, "/sys/delete_channel", 1, r#"{"code":0}"#),
            sent(5, "/raw", 1, "again"),
        ]
    );
}

#[test]
fn grants_are_read() {
    assert_eq!(parse_grant(br#"{"code":0,"channel_id":7}"#), Ok(7));
    for (text, code) in [
        (
            &br#"{"code":106,"message":"channel create limited"}"#[..],
            106,
        ),
        (br#"{"code":0}"#, -1),
        (br#"{"code":0,"channel_id":0}"#, -1),
        (br#"{"code":0,"channel_id":-1}"#, -1),
        (br#"{"code":0,"channel_id":4294967296}"#, -1),
        (b"?", -1),
        (&[b' '; 65 * 1024], -1),
    ] {
        assert_eq!(parse_grant(text).unwrap_err().code, code);
    }
    assert_eq!(
        (grant_json(0), grant_json(1)),
        (
            r#"{"code":0}"#.into(),
            r#"{"code":0,"channel_id":1}"#.into()
        )
    );
}

#[test]
fn a_window_below_the_least_is_a_violation() {
    let mut rig = ServerRig::new(Limits::default());
    rig.frame(1, "/sys/hello", 0, br#"{"v":1,"window":32767}"#);
    assert_eq!(rig.violation(), Some(&Violation::SmallWindow));
    let mut rig = ClientRig::new(ClientConfig::default());
    rig.frame(5, "/", 0, br#"{"code":0,"v":1,"window":32767}"#);
    assert_eq!(rig.violation(), Some(&Violation::SmallWindow));
    // Nobody announces less.
    let mut rig = ClientRig::new(ClientRig::with_limits(Limits::default().window(5)));
    assert!(rig.sent()[0].text().contains("\"window\":32768"));
}
