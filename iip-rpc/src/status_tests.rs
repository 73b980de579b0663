use std::error::Error;
use std::time::Duration;

use crate::status::{Attempts, Pushback};
use crate::{Code, Metadata, Outcome, Status};

#[test]
fn a_status_is_one_word() {
    assert!(size_of::<Status>() <= 16);
    assert_eq!(size_of::<Status>(), size_of::<usize>());
    assert_eq!(size_of::<Result<(), Status>>(), size_of::<usize>());
}

#[test]
fn text_says_code_message_phase_endpoint_and_outcome() {
    assert_eq!(Status::from(Code::NotFound).to_string(), "NOT_FOUND");
    assert_eq!(
        Status::not_found("no user 7").to_string(),
        "NOT_FOUND: no user 7"
    );
    assert_eq!(
        Status::unavailable("refused")
            .with_phase("connect")
            .with_endpoint("iip://[::1]:9")
            .with_outcome(Outcome::NotSent)
            .to_string(),
        "UNAVAILABLE: refused (phase: connect, endpoint: iip://[::1]:9, outcome: not sent)"
    );
}

#[test]
fn an_endpoint_that_the_message_names_is_not_said_again() {
    let text = |message: &'static str| {
        let status = Status::unavailable(message).with_endpoint("iip://a:80");
        status.to_string()
    };
    assert_eq!(
        text("no way to iip://a:80, it is gone"),
        "UNAVAILABLE: no way to iip://a:80, it is gone"
    );
    assert_eq!(
        text("the end of iip://a:80"),
        "UNAVAILABLE: the end of iip://a:80"
    );
    assert_eq!(
        text("no way to iip://a:8080"),
        "UNAVAILABLE: no way to iip://a:8080 (endpoint: iip://a:80)"
    );
    assert_eq!(text(""), "UNAVAILABLE (endpoint: iip://a:80)");
}

#[test]
fn parts_are_kept() {
    let status = Status::aborted("m")
        .with_details(&b"d"[..])
        .with_metadata("k", "v")
        .with_outcome(Outcome::Unknown);
    let copy = status.clone();
    assert_eq!(copy.code(), Code::Aborted);
    assert_eq!(copy.message(), "m");
    assert_eq!(&copy.details()[..], b"d");
    assert_eq!(copy.metadata().get("k"), Some("v"));
    assert_eq!(copy.outcome(), Some(Outcome::Unknown));
    assert_eq!(
        format!("{status:?}"),
        r#"Status { code: Aborted, message: "m", details: b"d", metadata: {"k": "v"}, outcome: Unknown }"#
    );
}

#[test]
fn metadata_that_cannot_travel_is_left_out_of_a_status() {
    let status = Status::not_found("no")
        .with_metadata("a b", "v")
        .with_metadata("k", "two\nlines")
        .with_metadata("k", "first")
        .with_metadata("K", "second");
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.metadata().len(), 1);
    assert_eq!(status.metadata().get("k"), Some("second"));
}

#[test]
fn errors_become_statuses() {
    let status = Status::from(std::io::Error::from(std::io::ErrorKind::NotFound));
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.source().is_some());
    let boxed: Box<dyn Error + Send + Sync> = "broken".into();
    assert_eq!(Status::from(boxed).to_string(), "UNKNOWN: broken");
    let boxed: Box<dyn Error + Send + Sync> = Box::new(Status::not_found("x"));
    assert_eq!(Status::from(boxed).code(), Code::NotFound);
    let error = Metadata::new().insert("", "").unwrap_err();
    assert_eq!(Status::from(error).code(), Code::InvalidArgument);
}

#[test]
fn a_message_of_several_lines_is_shown_on_one() {
    let status = Status::internal("one\r\nERROR forged\tline \u{1b}[31m \u{4f60}\u{1f600}\n");
    assert_eq!(
        status.to_string(),
        "INTERNAL: one\\r\\nERROR forged\\tline \\u{1b}[31m \u{4f60}\u{1f600}\\n"
    );
    assert!(status.message().ends_with('\n'));
}

#[test]
fn text_says_which_attempt_it_was_and_what_came_before() {
    let attempts = |made, most, stopped, earlier| Attempts {
        made,
        most,
        stopped,
        earlier,
    };
    let earlier = Status::aborted("first").with_endpoint("iip://a");
    let last = Status::unavailable("last").with_endpoint("iip://b");
    assert_eq!((last.attempts(), last.earlier_attempts().len()), (1, 0));
    let last = last.with_attempts(attempts(3, Some(3), None, vec![earlier]));
    assert_eq!(
        last.to_string(),
        "UNAVAILABLE: last (endpoint: iip://b, attempt: 3 of 3); before: ABORTED: first (endpoint: iip://a)"
    );
    assert_eq!((last.attempts(), last.earlier_attempts().len()), (3, 1));
    assert!(format!("{last:?}").contains("attempts"));
    let denied = Status::unavailable("").with_attempts(attempts(7, None, Some("why"), Vec::new()));
    assert_eq!(denied.to_string(), "UNAVAILABLE (attempt: 7, no more: why)");
}

#[test]
fn a_server_says_when_to_come_back() {
    let status = Status::unavailable("busy");
    assert_eq!(status.pushback(), None);
    let after = |milliseconds| Some(Pushback::After(Duration::from_millis(milliseconds)));
    let asked = status.clone().with_retry_after(Duration::from_micros(1500));
    assert_eq!(asked.metadata().get("iip-retry-pushback-ms"), Some("1"));
    assert_eq!(asked.pushback(), after(1));
    // The last word counts.
    let never = asked.with_no_retry();
    assert_eq!(never.pushback(), Some(Pushback::Never));
    let again = never.with_retry_after(Duration::from_secs(2));
    assert_eq!(again.pushback(), after(2000));
    for (text, pushback) in [
        ("0", after(0)),
        ("007", after(7)),
        ("18446744073709551615", after(u64::MAX)),
        ("18446744073709551616", Some(Pushback::Never)),
        ("-1", Some(Pushback::Never)),
        ("+1", Some(Pushback::Never)),
        ("1.5", Some(Pushback::Never)),
        ("", Some(Pushback::Never)),
        (" 1", Some(Pushback::Never)),
        ("soon", Some(Pushback::Never)),
    ] {
        let status = status.clone().with_metadata("iip-retry-pushback-ms", text);
        assert_eq!(status.pushback(), pushback, "{text:?}");
    }
}
