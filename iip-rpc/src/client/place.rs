use std::sync::Arc;
use std::time::Instant;

use iip_core::Error;
use iip_core::balance::{Balancer, EndpointId, EndpointState, Pick, Picked, Verdict};
use iip_core::client::Client;
use iip_core::conn::{Connection, Usage};

use crate::{Code, Outcome, Status};

/// Where a channel's calls go.
#[derive(Clone)]
pub(super) enum Destination {
    /// One address.
    One(Client),
    /// Many endpoints.
    Many(Balancer),
}

/// A connection for one attempt of a call.
pub(super) enum Placed {
    One(Connection),
    Many(Picked),
}

impl Destination {
    /// Waits for a connection on which an attempt can begin, at an endpoint that is not among those tried, where there
    /// are others.
    pub(super) async fn place(
        &self,
        pick: impl FnOnce() -> Pick,
        tried: &[EndpointId],
        deadline: Option<Instant>,
    ) -> Result<Placed, Error> {
        match self {
            Self::One(client) => client.ready(deadline).await.map(Placed::One),
            Self::Many(balancer) => {
                let picked = balancer.pick(&pick(), tried, deadline).await;
                picked.map(Placed::Many)
            }
        }
    }

    /// Whether an endpoint can take calls that is not among those tried.
    pub(super) fn has_others(&self, tried: &[EndpointId]) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(balancer) => balancer.has_others(tried),
        }
    }

    pub(super) fn endpoints(&self) -> Vec<EndpointState> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Many(balancer) => balancer.endpoints(),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        match self {
            Self::One(client) => client.usage(),
            Self::Many(balancer) => balancer.usage(),
        }
    }
}

impl Placed {
    pub(super) fn connection(&self) -> &Connection {
        match self {
            Self::One(connection) => connection,
            Self::Many(picked) => picked.connection(),
        }
    }

    /// Which of many endpoints it is.
    pub(super) fn endpoint(&self) -> Option<EndpointId> {
        match self {
            Self::One(_) => None,
            Self::Many(picked) => Some(picked.endpoint().id()),
        }
    }

    /// Reports how the attempt ended, or that its answer has begun. It counts as in flight until this is dropped.
    pub(super) fn finish(&mut self, verdict: Verdict) {
        if let Self::Many(picked) = self {
            picked.finish(verdict);
        }
    }

    /// Reports the result of the attempt, and adds to a failure at which of many endpoints it was.
    pub(super) fn settle<T>(&mut self, result: Result<T, Status>) -> Result<T, Status> {
        if let Self::One(_) = self {
            return result;
        }
        self.finish(match &result {
            Ok(_) => Verdict::Success,
            Err(status) => verdict(status),
        });
        result.map_err(|status| status.with_endpoint(Arc::from(self.connection().endpoint())))
    }
}

/// What the failure of an attempt says about its endpoint.
pub(super) fn verdict(status: &Status) -> Verdict {
    match (status.outcome(), status.code()) {
        // The loss of its connection, if it was that, is known already.
        (Some(Outcome::NotSent | Outcome::NotProcessed), _) => Verdict::Neutral,
        (
            _,
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::DataLoss,
        ) => Verdict::Failure,
        _ => Verdict::Success,
    }
}
