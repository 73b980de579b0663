use iip_core::server::Failure;
use iip_core::session::{ErrorReply, Payload};

use crate::envelope::Trailer;
use crate::stream::cancelled;
use crate::{Status, plain};

/// What a call gets whose deadline passed.
pub(super) fn expired() -> Status {
    Status::deadline_exceeded("the deadline passed before the method ended")
}

/// What a call gets whose handler panicked. The panic's text stays here: it is not the caller's business.
pub(super) fn panicked() -> Status {
    Status::internal("the method panicked")
}

/// The answer to a call that the framework ends itself.
pub(super) fn of_framework(failure: &Failure, enveloped: bool) -> Payload {
    if enveloped {
        let status = match failure {
            Failure::Expired => expired(),
            Failure::Stalled => Status::deadline_exceeded(
                "a message of the request did not arrive in time (assembly_timeout, assembly_stall)",
            ),
            Failure::Panicked => panicked(),
            Failure::Cancelled => cancelled(),
            _ => Status::unavailable("the server stopped before the method ended"),
        };
        return failed(&status, false, true);
    }
    let (code, text) = match failure {
        Failure::Expired | Failure::Stalled => (ErrorReply::DEADLINE_EXCEEDED, "deadline exceeded"),
        Failure::Panicked => (ErrorReply::NO_RESPONSE, "handle no response"),
        _ => (ErrorReply::DRAINING, "stopping"),
    };
    Payload::from(plain::json(code, text))
}

/// The response that carries a status. `not_processed`: the handler was not called.
pub(super) fn failed(status: &Status, not_processed: bool, enveloped: bool) -> Payload {
    Payload::from(if enveloped {
        Trailer::failed_record(status, not_processed)
    } else {
        plain::failure(status)
    })
}
