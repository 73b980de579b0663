use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::failure::panicked;
use super::guarded::{Guard, guard};
use super::intercept::{Intercept, Next, layer_of_intercept};
use crate::{Body, Request, Response, Status};

/// Makes a panic in a layer inside this one a call that fails with `INTERNAL`. Methods need no such layer: a server
/// catches their panics anyway, and those of its layers at a connection; a client does not.
///
/// The panic's text goes to the panic hook only: it is not the caller's business.
#[derive(Clone, Copy, Debug, Default)]
pub struct CatchPanic;

impl CatchPanic {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

/// Stands around what a response streams.
struct Catching;

impl Guard for Catching {
    const CATCHES_PANICS: bool = true;
}

impl Intercept for CatchPanic {
    async fn call(&self, request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
        let mut call = pin!(next.run(request));
        let result = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
                Ok(polled) => polled,
                Err(_) => Poll::Ready(Err(panicked())),
            }
        })
        .await;
        result.map(|response| guard(response, Catching))
    }
}

layer_of_intercept!(CatchPanic);
