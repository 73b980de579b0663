use std::time::Instant;

use iip_core::Error;
use iip_core::client::Client;
use iip_core::conn::{Connection, Usage};

pub(super) type EndpointId = u64;
pub(super) type Pick = u32;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Failure,
    Neutral,
}

/// Where a channel's calls go.
#[derive(Clone)]
pub(super) enum Destination {
    /// One address.
    One(Client),
}

/// A connection for one attempt of a call.
pub(super) enum Placed {
    One(Connection),
}

impl Destination {
    /// Waits for a connection on which an attempt can begin, at an endpoint that is not among those tried, where there
    /// are others.
    pub(super) async fn place(
        &self,
        _pick: impl FnOnce() -> Pick,
        _tried: &[EndpointId],
        deadline: Option<Instant>,
    ) -> Result<Placed, Error> {
        match self {
            Self::One(client) => client.ready(deadline).await.map(Placed::One),
        }
    }

    /// Whether an endpoint can take calls that is not among those tried.
    pub(super) fn has_others(&self, _tried: &[EndpointId]) -> bool {
        match self {
            Self::One(_) => false,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        match self {
            Self::One(client) => client.usage(),
        }
    }
}

impl Placed {
    pub(super) fn connection(&self) -> &Connection {
        match self {
            Self::One(connection) => connection,
        }
    }

    /// Which of many endpoints it is.
    pub(super) fn endpoint(&self) -> Option<EndpointId> {
        match self {
            Self::One(_) => None,
        }
    }

    /// Reports how the attempt ended, or that its answer has begun. It counts as in flight until this is dropped.
    pub(super) fn finish(&mut self, _verdict: Verdict) {}
}
