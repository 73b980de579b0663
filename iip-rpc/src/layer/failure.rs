use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;

use crate::{Outcome, Status};

/// An error of a layer, of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Errors in a chain that are looked at: a circle of sources must not hold a call for ever.
const LONGEST_CHAIN: usize = 32;

/// Tower's errors that mean something for a call, by what they print in `Debug` and in `Display`. Both must match: the
/// outcome of a call is claimed from it.
enum Known {
    Elapsed,
    Overloaded,
}

/// What the caller gets for an error of a layer.
pub(super) fn status_of(error: impl Into<BoxError>) -> Status {
    // The usual error of a layer of ours, or of one that passes errors on.
    let error = match error.into().downcast::<Status>() {
        Ok(status) => return *status,
        Err(other) => other,
    };
    let mut next: Option<&(dyn Error + 'static)> = Some(&*error);
    let mut known = None;
    for _ in 0..LONGEST_CHAIN {
        let Some(current) = next else {
            break;
        };
        if let Some(status) = current.downcast_ref::<Status>() {
            return status.clone();
        }
        known = known.or_else(|| recognise(current));
        next = current.source();
    }
    let status = match known {
        Some(Known::Elapsed) => Status::deadline_exceeded("the time limit of a layer passed")
            .with_outcome(Outcome::Unknown),
        Some(Known::Overloaded) => {
            Status::unavailable("a layer refused the call: too many are in progress")
                .with_outcome(Outcome::NotProcessed)
        }
        None => Status::unknown(format!("a layer failed: {error}")).with_outcome(Outcome::Unknown),
    };
    status.with_source(Arc::from(error)).with_phase("layer")
}

fn recognise(error: &(dyn Error + 'static)) -> Option<Known> {
    let mut text = String::new();
    write!(text, "{error:?}/{error}").ok()?;
    match text.as_str() {
        "Elapsed(())/request timed out" | "Elapsed(())/deadline has elapsed" => {
            Some(Known::Elapsed)
        }
        "Overloaded/service overloaded" => Some(Known::Overloaded),
        _ => None,
    }
}

/// What a call gets when a layer inside panicked.
pub(super) fn panicked() -> Status {
    Status::internal("a layer panicked")
        .with_phase("layer")
        .with_outcome(Outcome::Unknown)
}
