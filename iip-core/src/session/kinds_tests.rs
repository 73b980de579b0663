//! Every frame kind in every state of a channel, for both roles. The expectations are written out from the protocol's
//! description, not computed.

use super::rig_tests::*;
use super::*;
use crate::wire::{ChannelId, FrameKind, WireError};

/// Whether one direction of a channel accepts kinds 0 to 8, and the state after it: `i`dle, `o`pen or refused (`-`).
const IDLE: &str = "oi--oi---";
const OPEN: &str = "--oi--oi-";

#[test]
fn one_direction() {
    for (state, row) in [(MessageState::Idle, IDLE), (MessageState::Open, OPEN)] {
        for (kind, expected) in FrameKind::ALL.into_iter().zip(row.chars()) {
            let expected = match expected {
                'i' => Some(MessageState::Idle),
                'o' => Some(MessageState::Open),
                _ => None,
            };
            assert_eq!(state.after(kind), expected, "{state:?} {kind:?}");
        }
    }
    assert_eq!(MessageState::default(), MessageState::Idle);
}

/// What is left of a peer after a frame.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum After {
    Lives,
    Closed,
    Violation,
}

fn after(ended: Option<&Ended>) -> After {
    match ended {
        None => After::Lives,
        Some(Ended::ByPeer) => After::Closed,
        Some(Ended::Violation(_)) => After::Violation,
        Some(other) => panic!("{other:?}"),
    }
}

fn expected(row: &str, kind: u8) -> After {
    match row.as_bytes()[usize::from(kind)] {
        b'+' => After::Lives,
        b'8' => After::Closed,
        _ => After::Violation,
    }
}

/// Kinds that lead a server's channel into a state, and what it then does with kinds 0 to 9.
const SERVER: [(&str, &[u8], &str); 8] = [
    ("start", &[], "++------8-"),
    ("after first", &[0], "--++----8-"),
    ("after whole", &[1], "++------8-"),
    ("after first, next", &[0, 2], "--++----8-"),
    ("after first, last", &[0, 3], "++------8-"),
    ("after whole, first", &[1, 0], "--++----8-"),
    ("after whole, whole", &[1, 1], "++------8-"),
    ("after first, next, last", &[0, 2, 3], "++------8-"),
];

fn server_frame(path: &str, kind: u8) -> Vec<u8> {
    let data = if path == "/t.S/M" {
        request_data(0, &[2, 0])
    } else {
        vec![b'x']
    };
    if kind > 8 {
        return vec![kind];
    }
    encode(kind, path, 2, &data)
}

#[test]
fn every_kind_in_every_state_of_a_server() {
    for (name, before, row) in SERVER {
        for path in ["/raw", "/frames", "/t.S/M", "/none", "/sys/new_channel"] {
            for kind in 0..=9u8 {
                for native in [false, true] {
                    // What was answered before is no part of the request's state.
                    for answered in [false, true] {
                        let mut rig = if native {
                            ServerRig::native(Limits::default(), 4)
                        } else {
                            ServerRig::plain(Limits::default(), 4)
                        };
                        for &kind in before {
                            let data = server_frame(path, kind);
                            rig.feed(&if path == "/t.S/M" && !native {
                                encode(kind, path, 2, b"x")
                            } else {
                                data
                            });
                            for (call, _) in rig.calls() {
                                if answered {
                                    rig.answer(call, b"y");
                                }
                            }
                        }
                        assert_eq!(after(rig.session.ended()), After::Lives, "{name}");
                        rig.feed(&server_frame(path, kind));
                        let found = after(rig.session.ended());
                        assert_eq!(
                            found,
                            expected(row, kind),
                            "{name}, {path}, kind {kind}, native {native}"
                        );
                        let violation = rig.violation().cloned();
                        match kind {
                            9 => assert_eq!(
                                violation,
                                Some(Violation::Wire(WireError::UnknownKind(9)))
                            ),
                            _ if found == After::Violation => assert_eq!(
                                violation,
                                Some(Violation::UnexpectedKind {
                                    kind: FrameKind::from_u8(kind).unwrap(),
                                    channel: ChannelId(2),
                                })
                            ),
                            _ => assert_eq!(violation, None),
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_violation_is_found_before_the_data_has_come() {
    for kind in 0..8u8 {
        let mut server = ServerRig::plain(Limits::default(), 4);
        server.feed(&encode_head(kind, "/raw", 2, 1 << 20));
        assert_eq!(
            after(server.session.ended()),
            expected("++------", kind),
            "server, kind {kind}"
        );
        let mut client = ClientRig::plain(ClientConfig::default());
        client.raw(b"x");
        client.sent();
        client.feed(&encode_head(kind, "/raw", 1, 1 << 20));
        assert_eq!(
            after(client.session.ended()),
            expected("----++--", kind),
            "client, kind {kind}"
        );
    }
}

/// The same for a client: its call's state, kinds received before, and what it does with kinds 0 to 9.
const CLIENT: [(&str, Before, &[u8], &str); 12] = [
    ("never used", Before::Nothing, &[], "--------8-"),
    ("queued", Before::Queued, &[], "--------8-"),
    ("waiting", Before::Sent, &[], "----++--8-"),
    ("after first", Before::Sent, &[4], "------++8-"),
    ("after first, next", Before::Sent, &[4, 6], "------++8-"),
    ("after whole", Before::Sent, &[5], "--------8-"),
    ("after first, last", Before::Sent, &[4, 7], "--------8-"),
    ("request open", Before::Open, &[], "----++--8-"),
    (
        "request open, after first",
        Before::Open,
        &[4],
        "------++8-",
    ),
    (
        "request open, after whole",
        Before::Open,
        &[5],
        "--------8-",
    ),
    ("given up", Before::GivenUp, &[], "----++--8-"),
    ("given up, after first", Before::GivenUp, &[4], "------++8-"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    /// The request is too large to be out at once.
    Queued,
    Sent,
    /// More of the request may follow.
    Open,
    GivenUp,
}

fn client_frame(is_typed: bool, kind: u8) -> Vec<u8> {
    let data = if is_typed {
        response_data(0, &[2, 0])
    } else {
        vec![b'x']
    };
    if kind > 8 {
        return vec![kind];
    }
    encode(kind, "/raw", 2, &data)
}

#[test]
fn every_kind_in_every_state_of_a_client() {
    for (name, begin, before, row) in CLIENT {
        for is_typed in [false, true] {
            for delivery in [Delivery::Whole, Delivery::Frames] {
                for kind in 0..=9u8 {
                    let mut rig = ClientRig::native(ClientConfig::default(), 2);
                    let more = begin == Before::Open;
                    let format = if is_typed {
                        Format::Enveloped
                    } else {
                        Format::Raw
                    };
                    let options = OpenOptions {
                        format,
                        delivery,
                        more,
                        deadline: None,
                    };
                    if begin != Before::Nothing {
                        let large = [7; 100_000];
                        let data = if begin == Before::Queued {
                            chunks(large.chunks(10_000))
                        } else {
                            payload(b"x")
                        };
                        let call = rig.open("/raw", options, data);
                        assert_eq!(call.channel, ChannelId(2));
                        if begin != Before::Queued {
                            rig.sent();
                        }
                        if begin == Before::GivenUp {
                            rig.release(call);
                        }
                    }
                    for &kind in before {
                        rig.feed(&client_frame(is_typed, kind));
                    }
                    assert_eq!(after(rig.session.ended()), After::Lives, "{name}");
                    rig.feed(&client_frame(is_typed, kind));
                    let found = after(rig.session.ended());
                    assert_eq!(
                        found,
                        expected(row, kind),
                        "{name}, kind {kind}, typed {is_typed}, {delivery:?}"
                    );
                }
            }
        }
    }
}

/// The event stream, in a server's and in a client's eyes.
#[test]
fn every_kind_on_the_event_stream() {
    for (before, row) in [
        (&[][..], "--++----8-"),
        (&[2], "--++----8-"),
        (&[3], "++------8-"),
    ] {
        for kind in 0..=9u8 {
            let mut rig = ServerRig::with_events(Limits::default(), 4);
            for &kind in before {
                rig.frame(kind, "/sys/events", 1, &request_data(0, &[]));
            }
            let data = request_data(0, &[]);
            rig.feed(&if kind > 8 {
                vec![kind]
            } else {
                encode(kind, "/sys/events", 1, &data)
            });
            assert_eq!(
                after(rig.session.ended()),
                expected(row, kind),
                "server {before:?} {kind}"
            );
        }
    }
    for (before, row) in [
        (&[][..], "------++8-"),
        (&[6], "------++8-"),
        (&[7], "--------8-"),
    ] {
        for kind in 0..=9u8 {
            let mut rig = ClientRig::native(ClientConfig::default(), 4);
            for &kind in before {
                rig.frame(kind, "/", 1, &response_data(0, &[]));
            }
            let data = response_data(0, &[]);
            rig.feed(&if kind > 8 {
                vec![kind]
            } else {
                encode(kind, "/", 1, &data)
            });
            assert_eq!(
                after(rig.session.ended()),
                expected(row, kind),
                "client {before:?} {kind}"
            );
        }
    }
}

/// Channel 0, on which a client only hears what it asked the server itself.
#[test]
fn every_kind_on_channel_0_of_a_client() {
    for (owed, before, row) in [
        (true, &[][..], "----++--8-"),
        (true, &[4], "------++8-"),
        (true, &[4, 6], "------++8-"),
        (false, &[], "--------8-"),
    ] {
        for kind in 0..=9u8 {
            let mut rig = if owed {
                ClientRig::new(ClientConfig::default())
            } else {
                ClientRig::plain(ClientConfig::default())
            };
            for &kind in before {
                rig.frame(kind, "/", 0, b" ");
            }
            rig.feed(&if kind > 8 {
                vec![kind]
            } else {
                encode(kind, "/", 0, b"{}")
            });
            assert_eq!(
                after(rig.session.ended()),
                expected(row, kind),
                "owed {owed}, {before:?}, {kind}"
            );
        }
    }
}

#[test]
fn every_kind_on_a_channel_that_was_not_granted() {
    for kind in 0..8u8 {
        let mut server = ServerRig::plain(Limits::default(), 2);
        server.frame(kind, "/raw", 3, b"x");
        let unexpected = Violation::UnexpectedKind {
            kind: FrameKind::from_u8(kind).unwrap(),
            channel: ChannelId(3),
        };
        let unknown = Violation::UnknownChannel(ChannelId(3));
        let expected = if kind < 4 { &unknown } else { &unexpected };
        assert_eq!(server.violation(), Some(expected), "server, kind {kind}");

        let mut client = ClientRig::native(ClientConfig::default(), 2);
        client.frame(kind, "/raw", 3, b"x");
        let expected = if kind < 4 { &unexpected } else { &unknown };
        assert_eq!(client.violation(), Some(expected), "client, kind {kind}");
    }
}
