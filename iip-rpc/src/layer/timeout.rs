use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use super::guarded::{Guard, guard};
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
        let given = request.deadline();
        let Some(deadline) = own.filter(|own| given.is_none_or(|given| *own < given)) else {
            return next.run(request).await;
        };
        request.set_deadline(Some(deadline));
        // A connection that watches the call knows of the other deadline only: the handler watches itself.
        if let Some(scope) = request.scope() {
            scope.claim();
        }
        match within(Some(deadline), next.run(request)).await {
            Some(result) => result.map(|response| guard(response, Timer::new(deadline))),
            None => Err(passed()),
        }
    }
}

fn passed() -> Status {
    Status::deadline_exceeded(
        "the deadline passed before the call ended (setting: the layer Timeout)",
    )
    .with_phase("layer")
    .with_outcome(Outcome::Unknown)
}

/// Ends a streamed response at the deadline.
struct Timer {
    deadline: Instant,
    /// Armed when the stream first waits.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            sleep: None,
        }
    }
}

impl Guard for Timer {
    fn poll_stop(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let deadline = self.deadline.into();
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        sleep.as_mut().poll(context).map(|()| passed())
    }
}

layer_of_intercept!(Timeout);
