use std::time::Duration;

use proptest::prelude::*;
use prost_types::Any;

use super::{
    BadRequest, DebugInfo, ErrorInfo, Help, Link, LocalizedMessage, PreconditionFailure,
    PreconditionViolation, QuotaFailure, QuotaViolation, RequestInfo, ResourceInfo, RetryInfo,
};
use crate::Status;

#[test]
fn every_standard_detail_is_found_again() {
    let bad_request = BadRequest::new().violation("name", "empty");
    let error_info = ErrorInfo::new("STOCK_EMPTY", "example.com");
    let retry_info = RetryInfo::after(Duration::from_millis(1500));
    let debug_info = DebugInfo {
        stack_entries: vec!["here".into()],
        detail: "more".into(),
    };
    let quota = QuotaFailure {
        violations: vec![QuotaViolation {
            subject: "client:me".into(),
            description: "100 a day".into(),
        }],
    };
    let precondition = PreconditionFailure {
        violations: vec![PreconditionViolation {
            r#type: "TERMS".into(),
            subject: "example.com".into(),
            description: "agree first".into(),
        }],
    };
    let request_info = RequestInfo {
        request_id: "7".into(),
        serving_data: String::new(),
    };
    let resource = ResourceInfo {
        resource_type: "book".into(),
        resource_name: "shelf/1".into(),
        ..ResourceInfo::default()
    };
    let help = Help {
        links: vec![Link {
            description: "docs".into(),
            url: "https://example.com".into(),
        }],
    };
    let localized = LocalizedMessage {
        locale: "de".into(),
        message: "Nein".into(),
    };
    let status = Status::unavailable("later")
        .with_detail(&bad_request)
        .with_detail(&error_info)
        .with_detail(&retry_info)
        .with_detail(&debug_info)
        .with_detail(&quota)
        .with_detail(&precondition)
        .with_detail(&request_info)
        .with_detail(&resource)
        .with_detail(&help)
        .with_detail(&localized);
    let details = status.details();
    assert_eq!(details.find(), Some(bad_request));
    assert_eq!(details.find(), Some(error_info));
    assert_eq!(details.find(), Some(retry_info));
    assert_eq!(retry_info.delay(), Some(Duration::from_millis(1500)));
    assert_eq!(details.find(), Some(debug_info));
    assert_eq!(details.find(), Some(quota));
    assert_eq!(details.find(), Some(precondition));
    assert_eq!(details.find(), Some(request_info));
    assert_eq!(details.find(), Some(resource));
    assert_eq!(details.find(), Some(help));
    assert_eq!(details.find(), Some(localized));
    assert_eq!(details.unpack().len(), 10);
    assert_eq!(
        details.unpack()[1].type_url,
        "type.googleapis.com/google.rpc.ErrorInfo"
    );
}

#[test]
fn the_bytes_are_those_of_google_rpc_status() {
    let status = Status::aborted("m").with_detail(&RetryInfo::after(Duration::from_secs(2)));
    let mut expected = vec![0x08, 10, 0x12, 1, b'm', 0x1a, 48, 0x0a, 40];
    expected.extend_from_slice(b"type.googleapis.com/google.rpc.RetryInfo");
    expected.extend_from_slice(&[0x12, 4, 0x0a, 2, 0x08, 2]);
    assert_eq!(&status.details()[..], expected);
}

#[test]
fn bytes_of_another_kind_hold_no_detail_and_are_replaced() {
    let status = Status::unknown("").with_details(&b"\xff\xff any"[..]);
    assert_eq!(status.details().find::<RetryInfo>(), None);
    assert_eq!(status.details().unpack(), Vec::<Any>::new());
    let status = status.with_detail(&RetryInfo::default());
    assert_eq!(status.details().find(), Some(RetryInfo::default()));
}

#[test]
fn several_details_of_a_type_keep_their_order() {
    let status = Status::unknown("")
        .with_detail(&ErrorInfo::new("A", "d"))
        .with_detail(&ErrorInfo::new("B", "d"));
    let reasons: Vec<_> = status
        .details()
        .find_all::<ErrorInfo>()
        .into_iter()
        .map(|info| info.reason)
        .collect();
    assert_eq!(reasons, ["A", "B"]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let status = Status::unknown("").with_details(bytes);
        let _ = status.details().find::<BadRequest>();
        let _ = status.with_detail(&RetryInfo::after(Duration::MAX));
    }
}
