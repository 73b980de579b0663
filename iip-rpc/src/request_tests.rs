use std::time::Duration;

use crate::{IntoRequest, Metadata, Request, Response};

#[test]
fn a_bare_request_and_response_are_small() {
    assert!(
        size_of::<Request<()>>() <= 88,
        "{}",
        size_of::<Request<()>>()
    );
    assert!(size_of::<Response<()>>() <= 40);
}

#[test]
fn a_request_is_built_in_one_expression() {
    let mut request = Request::new(1)
        .with_timeout(Duration::from_millis(200))
        .with_metadata("k", "v")
        .map(|n| n + 1);
    assert_eq!(*request.get_ref(), 2);
    *request.get_mut() += 1;
    assert_eq!(request.own_timeout(), Some(Duration::from_millis(200)));
    assert_eq!(request.metadata().get("k"), Some("v"));
    assert!(request.take_refused().is_none());
    assert_eq!(request.into_inner(), 3);
}

#[test]
fn metadata_that_is_not_valid_is_remembered() {
    let mut request = Request::new(())
        .with_metadata("a b", "v")
        .with_metadata("k", "ä");
    assert!(request.take_refused().unwrap().to_string().contains("0x20"));
    assert!(request.metadata().is_empty());
    let mut response = Response::new(()).with_metadata("k", "\n");
    assert!(response.take_refused().is_some());
}

#[test]
fn a_message_and_a_request_are_both_requests() {
    fn value<T>(request: impl IntoRequest<T>) -> T {
        request.into_request().into_inner()
    }
    assert_eq!(value("text".to_owned()), "text");
    assert_eq!(value(Request::new("text".to_owned())), "text");
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let request = Request::new(()).with_metadata("authorization", "abc");
    assert!(!format!("{request:?}").contains("abc"));
    let mut response: Response<()> = ().into();
    *response.trailers_mut() = Metadata::new();
    response.trailers_mut().insert("cookie", "abc").unwrap();
    assert!(!format!("{response:?}").contains("abc"));
}
