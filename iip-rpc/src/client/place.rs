use std::time::{Duration, Instant};

use iip_core::Error;
use iip_core::balance::{Balancer, EndpointId, EndpointState, Pick, Picked, Verdict};
use iip_core::client::{Client, CloseReport};
use iip_core::conn::{Connection, Usage};

use crate::Status;

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
    /// A connection for the first attempt of a call, if none has to be waited for.
    #[inline]
    pub(super) fn try_place(&self, pick: &Pick) -> Option<Placed> {
        match self {
            Self::One(client) => client.try_ready().map(Placed::One),
            Self::Many(balancer) => balancer.try_pick(pick, &[]).map(Placed::Many),
        }
    }

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

    pub(super) async fn close_within(&self, grace: Duration) -> CloseReport {
        match self {
            Self::One(client) => client.close_within(grace).await,
            Self::Many(balancer) => balancer.close_within(grace).await,
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

    /// Adds to a failure at which of many endpoints it was.
    pub(super) fn located(&self, status: Status) -> Status {
        match self {
            Self::One(_) => status,
            Self::Many(_) => status.with_endpoint(self.connection().endpoint()),
        }
    }
}
