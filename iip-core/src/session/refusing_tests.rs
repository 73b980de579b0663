//! Requests for which a server has no room.

use super::rig_tests::*;
use super::*;

const BUSY: &str = r#"{"code":109,"message":"busy"}"#;

fn refusing(most: Criticality) -> Option<Refusing> {
    Some(Refusing { most, json: BUSY })
}

#[test]
fn what_there_is_no_room_for_is_refused_before_anybody_hears_of_it() {
    let mut rig = ServerRig::native(Limits::default(), 8);
    rig.session
        .refuse_from_here(refusing(Criticality::Critical));
    rig.frame(1, "/raw", 2, b"x");
    rig.frame(1, "/t.S/M", 3, &request_data(0, b"x"));
    rig.frame(1, "/frames", 4, b"x");
    assert!(!rig.session.has_events());
    let refused = [2, 3, 4].map(|channel| sent(5, "/", channel, BUSY));
    assert_eq!(rig.sent(), refused);
    assert_eq!(rig.session.in_flight(), 0);
    // The rig's more critical requests.
    rig.frame(1, "/t.S/M", 5, &request_data(0, b"plus"));
    let call = rig.call();
    rig.answer(call, "y");
    assert_eq!(rig.sent(), [sent(5, "/", 5, response_data(0, b"y"))]);
    assert_eq!(rig.session.refuse_from_here(None), 3);
    rig.frame(1, "/raw", 2, b"x");
    rig.call();
    assert_eq!(rig.session.refuse_from_here(None), 0);
}

#[test]
fn what_is_never_to_be_refused_is_not() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    let most = Criticality::CriticalPlus;
    rig.session.refuse_from_here(refusing(most));
    rig.frame(1, "/raw", 2, b"system");
    rig.call();
    let mut plain = ServerRig::plain(Limits::default(), 4);
    plain.session.refuse_from_here(refusing(most));
    plain.frame(1, "/raw", 2, b"x");
    plain.call();
}

#[test]
fn the_rest_of_a_refused_request_is_read_past() {
    let mut rig = ServerRig::native(Limits::default(), 4);
    rig.session
        .refuse_from_here(refusing(Criticality::Critical));
    rig.frame(0, "/t.S/M", 2, &request_data(0, b"\x03\x05a"));
    assert_eq!(rig.sent(), [sent(5, "/", 2, BUSY)]);
    rig.session.refuse_from_here(None);
    rig.frame(3, "/", 2, &request_data(0, b"\x04\x04bcde"));
    assert_eq!(rig.session.held(), 0);
    assert!(!rig.session.has_events());
    // And the channel serves again.
    rig.frame(1, "/t.S/M", 2, &request_data(1, b"x"));
    rig.call();
}
