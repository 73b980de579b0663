use std::sync::Arc;

use tokio::sync::Semaphore;

use super::guarded::guard;
use super::intercept::{Intercept, Next, layer_of_intercept};
use super::service::expired_waiting;
use super::within::within;
use crate::{Body, Outcome, Request, Response, Status};

/// Lets at most so many calls be in progress at a time; further ones wait for their turn, first come first served, until
/// their deadline. A call counts until it has ended: a streamed response until its end was taken or it is dropped.
///
/// Clones share one limit: the same layer around several services limits all of them together.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
}

/// Lets at most so many calls be in progress at a time, and refuses further ones at once: `UNAVAILABLE` with the outcome
/// *not processed*, so that another server can be tried. It counts as [`ConcurrencyLimit`] does, and clones share one
/// limit.
///
/// To let some calls wait and refuse those beyond, put this layer outside of a [`ConcurrencyLimit`], with the larger
/// number.
#[derive(Clone, Debug)]
pub struct LoadShed {
    limit: usize,
    permits: Arc<Semaphore>,
}

fn semaphore(limit: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)))
}

impl ConcurrencyLimit {
    /// Lets `calls`, at least 1, be in progress at a time.
    pub fn new(calls: usize) -> Self {
        Self {
            permits: semaphore(calls),
        }
    }
}

impl LoadShed {
    /// Lets `calls`, at least 1, be in progress at a time.
    pub fn new(calls: usize) -> Self {
        Self {
            limit: calls.max(1),
            permits: semaphore(calls),
        }
    }
}

impl Intercept for ConcurrencyLimit {
    async fn call(&self, request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
        let turn = Arc::clone(&self.permits).acquire_owned();
        // The semaphore is never closed.
        let Some(Ok(permit)) = within(request.deadline(), turn).await else {
            return Err(expired_waiting());
        };
        let response = next.run(request).await?;
        Ok(guard(response, permit))
    }
}

impl Intercept for LoadShed {
    async fn call(&self, request: Request<Body>, next: Next) -> Result<Response<Body>, Status> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return Err(Status::unavailable(format!(
                "{} calls are in progress already (setting: the layer LoadShed)",
                self.limit
            ))
            .with_phase("layer")
            .with_outcome(Outcome::NotProcessed));
        };
        let response = next.run(request).await?;
        Ok(guard(response, permit))
    }
}

layer_of_intercept!(ConcurrencyLimit);
layer_of_intercept!(LoadShed);
