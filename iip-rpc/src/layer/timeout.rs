use std::time::Duration;

use super::intercept::{Intercept, Next, layer_of_intercept};
use super::within::within;
use crate::deadline::after;
use crate::{Body, Outcome, Request, Response, Status};

/// Bounds how long a call may take, from here on: it gets an earlier deadline if it has none or a later one. So the
/// limit also holds for what waits inside, travels to the server, is inherited by calls that the method makes, and ends
/// a stream that is still open. (tower's own layer of this name ends with the beginning of the response.)
///
/// A call that passes the limit fails with `DEADLINE_EXCEEDED`.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    limit: Duration,
}

impl Timeout {
    /// Lets calls take at most `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl Intercept for Timeout {
    async fn call(&self, mut request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
        let own = after(self.limit);
        let deadline = own.into_iter().chain(request.deadline()).min();
        request.set_deadline(deadline);
        match within(deadline, next.run(request)).await {
            Some(result) => result,
            None => Err(Status::deadline_exceeded(
                "the deadline passed before the call ended (setting: the layer Timeout)",
            )
            .with_phase("layer")
            .with_outcome(Outcome::Unknown)),
        }
    }
}

layer_of_intercept!(Timeout);
