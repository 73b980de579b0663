use super::fixture_tests::{Echo, call, request};
use super::{CatchPanic, layered};
use crate::Code;

#[tokio::test]
async fn a_panic_fails_its_call_only() {
    let service = layered(Echo::default(), CatchPanic::new());
    let status = call(&service, request().with_metadata("end", "panic")).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "a layer panicked");
    assert!(call(&service, request()).await.is_ok());
}
