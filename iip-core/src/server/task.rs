use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::route::{Failure, Reply, Route, Runner};
use super::shared::{Polls, ServerShared};
use crate::session::{CallId, Payload};

/// A call whose handler was not ready at once.
pub(super) struct Task {
    pub(super) shared: Arc<ServerShared>,
    pub(super) call: CallId,
    pub(super) route: Arc<dyn Route>,
    pub(super) index: usize,
    pub(super) runner: Pin<Box<dyn Runner>>,
    pub(super) polls: Arc<Polls>,
    pub(super) enveloped: bool,
    /// Whether the first poll is yet to be timed.
    pub(super) measure: bool,
    pub(super) done: bool,
}

impl Task {
    pub(super) async fn run(mut self) {
        let reply = std::future::poll_fn(|cx| self.poll_handler(cx)).await;
        self.done = true;
        self.shared.ended(self.call, reply);
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) -> Poll<Option<Payload>> {
        if !self.polls.begin() {
            // The runtime drops the task in place of the next poll.
            return Poll::Pending;
        }
        let begun = self.measure.then(Instant::now);
        let polled = catch_unwind(AssertUnwindSafe(|| self.runner.as_mut().poll(cx)));
        self.polls.end();
        if let Some(begun) = begun {
            self.measure = false;
            if let Some(entry) = self.shared.core.router.entries.get(self.index) {
                entry.placement.record(begun.elapsed().as_nanos() as u64);
            }
        }
        match polled {
            Ok(poll) => poll.map(Reply::into_payload),
            Err(_) => Poll::Ready(Some(self.route.failure(&Failure::Panicked, self.enveloped))),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Aborted: whoever aborted it has given the answer, or the connection is gone.
        if !self.done {
            self.shared.ended(self.call, None);
        }
    }
}
