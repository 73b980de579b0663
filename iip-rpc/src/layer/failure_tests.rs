use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::failure::status_of;
use crate::{Code, Outcome, Status};

#[derive(Debug)]
struct Wrapped(Option<Box<dyn Error + Send + Sync>>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .as_deref()
            .map(|error| error as &(dyn Error + 'static))
    }
}

fn wrap(error: impl Into<Box<dyn Error + Send + Sync>>) -> Wrapped {
    Wrapped(Some(error.into()))
}

#[test]
fn a_status_in_the_chain_is_the_answer() {
    let status = || Status::aborted("try again").with_outcome(Outcome::Unknown);
    for found in [status_of(status()), status_of(wrap(wrap(status())))] {
        assert_eq!(found.code(), Code::Aborted);
        assert_eq!(found.message(), "try again");
        assert_eq!(found.outcome(), Some(Outcome::Unknown));
    }
}

#[test]
fn towers_errors_are_known_by_name_and_text() {
    let elapsed = tower::timeout::error::Elapsed::new();
    let status = status_of(wrap(elapsed));
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
    assert_eq!(status.phase(), Some("layer"));
    assert_eq!(status.source().unwrap().to_string(), "wrapped");
    let status = status_of(tower::load_shed::error::Overloaded::new());
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    // An error that only looks alike claims nothing.
    let status = status_of("service overloaded");
    assert_eq!(status.code(), Code::Unknown);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
}

#[tokio::test(start_paused = true)]
async fn the_runtimes_timeout_is_known_too() {
    let elapsed = tokio::time::timeout(std::time::Duration::ZERO, std::future::pending::<()>());
    let status = status_of(elapsed.await.unwrap_err());
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[test]
fn any_other_error_is_unknown_with_its_text() {
    let status = status_of(wrap("inside"));
    assert_eq!(status.code(), Code::Unknown);
    assert_eq!(status.message(), "a layer failed: wrapped");
}

/// Its own source.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circle")
    }
}

impl Error for Circle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Circle)
    }
}

#[test]
fn a_circle_of_sources_ends() {
    assert_eq!(status_of(Circle).code(), Code::Unknown);
}

#[test]
fn a_source_is_kept() {
    let status = status_of(Status::internal("x").with_source(Arc::new(Circle) as Arc<_>));
    assert_eq!(status.source().unwrap().to_string(), "circle");
}
