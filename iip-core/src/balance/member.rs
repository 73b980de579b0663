use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::ejection::{Ejection, Finding, Health, Probe};
use super::endpoint::{Endpoint, InFlight};
use super::pick::Pick;
use crate::client::Client;
use crate::conn::{Connection, now};

/// How a call ended, as far as it says something about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint did what it is there for, whatever its answer was.
    Success,
    /// The endpoint is at fault: it was lost, did not answer in time, or said that it cannot do its work.
    Failure,
    /// Nothing is known of the endpoint: the call was given up, or never reached it.
    Neutral,
}

/// What is to be decided with a view of all endpoints.
#[derive(Debug, Clone, Copy)]
pub(super) enum Notice {
    /// It fails.
    Failing,
    /// Its latency may be compared with that of others.
    Comparable,
    /// It was ejected, and this call to it ended.
    Probed(Probe, Option<bool>),
}

/// Who decides it.
pub(super) trait Overseer: Send + Sync {
    fn notice(&self, member: &Arc<Member>, notice: Notice);
}

/// An endpoint of a balancer, with its connections.
pub(super) struct Member {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) client: Client,
    pub(super) ejection: Arc<Ejection>,
    health: Arc<Mutex<Health>>,
    overseer: Weak<dyn Overseer>,
}

impl Member {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        client: Client,
        ejection: Arc<Ejection>,
        overseer: Weak<dyn Overseer>,
    ) -> Self {
        Self {
            endpoint,
            client,
            ejection,
            health: Arc::new(Mutex::new(Health::new(now()))),
            overseer,
        }
    }

    /// The same endpoint and what is known of it, with another client.
    pub(super) fn with(&self, client: Client) -> Self {
        Self {
            endpoint: Arc::clone(&self.endpoint),
            client,
            ejection: Arc::clone(&self.ejection),
            health: Arc::clone(&self.health),
            overseer: self.overseer.clone(),
        }
    }

    pub(super) fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connections() > 0
    }

    /// A connection of this endpoint for a call, which counts from here on.
    pub(super) fn picked(
        self: &Arc<Self>,
        connection: Connection,
        pick: &Pick,
        probe: Option<Probe>,
    ) -> Picked {
        Picked {
            connection,
            member: Arc::clone(self),
            begun: pick.now(),
            probe,
            reported: false,
            _in_flight: self.endpoint.begin_call(),
        }
    }

    fn ended(self: &Arc<Self>, verdict: Verdict, begun: Instant, probe: Option<Probe>) {
        let failed = match verdict {
            Verdict::Success => Some(false),
            Verdict::Failure => Some(true),
            Verdict::Neutral => None,
        };
        let notice = match (probe, failed) {
            (None, None) => None,
            (Some(probe), failed) => Some(Notice::Probed(probe, failed)),
            (None, Some(failed)) => {
                let now = now();
                let took = now.saturating_duration_since(begun);
                // A failure that comes at once must not make the endpoint look fast.
                if !failed || self.endpoint.latency().is_some_and(|mean| mean < took) {
                    self.endpoint.record_latency(took, now);
                }
                let found = self.health().ended(&self.ejection, now, failed, took);
                match found {
                    Finding::Nothing => None,
                    Finding::Failing => Some(Notice::Failing),
                    Finding::Comparable => Some(Notice::Comparable),
                }
            }
        };
        if let Some(notice) = notice
            && let Some(overseer) = self.overseer.upgrade()
        {
            overseer.notice(self, notice);
        }
    }
}

/// A connection that a balancer has picked for one call. The call counts as in flight at its endpoint until this is
/// dropped.
#[must_use = "the call counts as over when this is dropped"]
pub struct Picked {
    connection: Connection,
    member: Arc<Member>,
    begun: Instant,
    probe: Option<Probe>,
    reported: bool,
    _in_flight: InFlight,
}

impl Picked {
    /// On which the call is to begin. If it takes no call any more
    /// ([`CallFailure::NotStarted`](crate::conn::CallFailure::NotStarted)), pick again.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Where it leads.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.member.endpoint
    }

    /// Reports how the call ended, or that its answer has begun. Only the first report counts; without one, nothing is
    /// learnt from the call.
    pub fn finish(&mut self, verdict: Verdict) {
        if !std::mem::replace(&mut self.reported, true) {
            self.member.ended(verdict, self.begun, self.probe);
        }
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        self.finish(Verdict::Neutral);
    }
}

impl fmt::Debug for Picked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picked")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
