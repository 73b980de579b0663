use bytes::Bytes;

use crate::envelope::MessageBytes;
use crate::plain::{failure, incoming, outgoing, response};
use crate::{Code, Status};

#[test]
fn an_empty_message_has_four_bytes_and_two_forms() {
    let sent = outgoing(MessageBytes::bare(Bytes::new()));
    assert_eq!(&sent[..], b"\xc0\xa3\x09\x00");
    #[derive(Clone, PartialEq, prost::Message)]
    struct Text {
        #[prost(string, tag = "1")]
        text: String,
    }
    for form in [&sent[..], b"{}"] {
        let message = incoming(Bytes::copy_from_slice(form));
        assert_eq!(message.decode::<Text>().unwrap(), Text::default());
    }
}

#[test]
fn a_message_is_bare_protobuf() {
    let message = MessageBytes::encode(&"you".to_owned()).unwrap();
    let sent = outgoing(message);
    assert_eq!(&sent[..], b"\x0a\x03you");
    assert_eq!(response(sent).unwrap().decode::<String>().unwrap(), "you");
}

#[test]
fn a_status_survives_the_references_form() {
    let data = failure(&Status::not_found("no \"user\": 7"));
    assert_eq!(
        &data[..],
        br#"{"code":-1,"message":"handler fail:NOT_FOUND: no \"user\": 7"}"#
    );
    let status = response(data).unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no \"user\": 7");
}

#[test]
fn errors_of_the_reference_become_statuses() {
    for (json, code, message) in [
        (
            &br#"{"code":-1,"message":"handler fail:broken: pipe"}"#[..],
            Code::Unknown,
            "broken: pipe",
        ),
        (
            br#"{"code":-1,"message":"handler fail:OK: odd"}"#,
            Code::Unknown,
            "OK: odd",
        ),
        (
            br#"{"code": -1, "message": "unknown"}"#,
            Code::Unknown,
            "unknown",
        ),
        (
            br#"{"code":102,"message":"handle error"}"#,
            Code::Unimplemented,
            "the server answered with code 102: handle error",
        ),
        (
            br#"{"code":109}"#,
            Code::Unavailable,
            "the server answered with code 109",
        ),
        (
            br#"{"code":110}"#,
            Code::Unavailable,
            "the server answered with code 110",
        ),
        (
            br#"{"code":111}"#,
            Code::ResourceExhausted,
            "the server answered with code 111",
        ),
        (
            br#"{"code":112}"#,
            Code::Unauthenticated,
            "the server answered with code 112",
        ),
        (
            br#"{"code":113}"#,
            Code::PermissionDenied,
            "the server answered with code 113",
        ),
        (
            br#"{"code":114}"#,
            Code::DeadlineExceeded,
            "the server answered with code 114",
        ),
        (
            br#"{"code":7777}"#,
            Code::Unknown,
            "the server answered with code 7777",
        ),
    ] {
        let status = response(Bytes::from_static(json)).unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
        assert_eq!(status.outcome(), None);
    }
}

#[test]
fn what_is_no_error_is_a_message() {
    for data in [
        &b"{}"[..],
        br#"{"code":0}"#,
        br#"{"code":"x"}"#,
        b"{",
        b"\x0a\x00",
    ] {
        assert!(response(Bytes::copy_from_slice(data)).is_ok());
    }
}
