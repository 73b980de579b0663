use std::sync::Arc;

use iip_core::{Error, ErrorKind, Outcome};

use crate::{Code, Status, plain};

/// What a caller gets for a call that the connection, the pool or the server's framework failed. The error's text names
/// the endpoint and the setting to change.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, phase) = match error.kind() {
            ErrorKind::Connect => (Code::Unavailable, "connect"),
            ErrorKind::Closed => (Code::Unavailable, "call"),
            ErrorKind::Deadline if error.outcome() == Outcome::NotSent => {
                (Code::DeadlineExceeded, "connect")
            }
            ErrorKind::Deadline => (Code::DeadlineExceeded, "response"),
            ErrorKind::Refused { code } => (plain::code_of(*code), "call"),
            ErrorKind::TooLarge => (Code::ResourceExhausted, "response"),
            ErrorKind::Withdrawn => (Code::Cancelled, "send"),
            ErrorKind::QueueFull => (Code::ResourceExhausted, "queue"),
            _ => (Code::Internal, "call"),
        };
        let outcome = error.outcome();
        Self::new(code, error.message())
            .with_phase(phase)
            .with_outcome(outcome)
            .with_source(Arc::new(error) as Arc<_>)
    }
}
