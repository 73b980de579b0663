//! What a server knows of its named calls, so that a client can see from outside what a handler does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iip_rpc::tokio::sync::watch;
use iip_rpc::{Metadata, Status};

use super::proto::watch_reply::End;
use super::proto::{WatchReply, WatchRequest};

/// The metadata that names a call.
pub(super) const CALL: &str = "x-interop-call";

/// Most calls remembered at a time. One that ended is forgotten when somebody has asked for its end.
const MAX_CALLS: usize = 1024;

/// Every named call of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    calls: Arc<Mutex<HashMap<String, Arc<watch::Sender<WatchReply>>>>>,
}

/// The line of one call, which its handler keeps up to date.
#[derive(Debug)]
pub(super) struct Line {
    progress: Option<Arc<watch::Sender<WatchReply>>>,
}

impl Ledger {
    fn calls(&self) -> MutexGuard<'_, HashMap<String, Arc<watch::Sender<WatchReply>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, call: &str) -> Result<Arc<watch::Sender<WatchReply>>, Status> {
        let mut calls = self.calls();
        if !calls.contains_key(call) && calls.len() >= MAX_CALLS {
            return Err(Status::resource_exhausted("too many named calls"));
        }
        let line = calls.entry(call.to_owned()).or_default();
        Ok(Arc::clone(line))
    }

    /// Begins the line of a call that has this metadata; one without a name is not remembered.
    pub(super) fn begin(&self, metadata: &Metadata) -> Result<Line, Status> {
        let progress = metadata.get(CALL).map(|call| self.line(call)).transpose()?;
        Ok(Line { progress })
    }

    /// What is known of a call, which may begin later.
    pub(super) async fn watch(&self, request: &WatchRequest) -> Result<WatchReply, Status> {
        let mut progress = self.line(&request.call)?.subscribe();
        let ended = |reply: &WatchReply| reply.end() != End::NotEnded;
        let wanted = |reply: &WatchReply| {
            ended(reply) || !request.until_ended && reply.received >= request.until_received
        };
        let reply = match progress.wait_for(wanted).await {
            Ok(reply) => *reply,
            Err(_) => return Err(Status::aborted("another caller was told the end")),
        };
        if request.until_ended {
            self.calls().remove(&request.call);
        }
        Ok(reply)
    }
}

impl Line {
    fn change(&self, change: impl FnOnce(&mut WatchReply)) {
        if let Some(progress) = &self.progress {
            progress.send_modify(change);
        }
    }

    pub(super) fn received(&self) {
        self.change(|reply| reply.received += 1);
    }

    pub(super) fn sent(&self) {
        self.change(|reply| reply.sent += 1);
    }

    /// The handler returns this.
    pub(super) fn returned<T>(self, result: &Result<T, Status>) {
        self.change(|reply| {
            reply.set_end(End::Returned);
            reply.code = result
                .as_ref()
                .err()
                .map_or(0, |status| status.code().into());
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.change(|reply| {
            if reply.end() == End::NotEnded {
                reply.set_end(End::Stopped);
            }
        });
    }
}
