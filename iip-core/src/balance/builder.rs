use std::fmt;
use std::sync::Arc;

use super::discover::Discover;
use super::ejection::Ejection;
use super::pick::Policy;
use super::policy::LeastPending;
use crate::client::ClientBuilder;

/// Share of the endpoints near that must take calls, for all calls to go to them.
const LOCALITY_SHARE: f64 = 0.5;

/// Collects how a [`Balancer`](super::Balancer) is to behave; made by [`Balancer::builder`](super::Balancer::builder).
#[must_use = "a builder does nothing until it connects"]
pub struct BalancerBuilder {
    pub(super) discover: Box<dyn Discover>,
    pub(super) settings: Settings,
}

/// What of the settings does not change.
pub(super) struct Settings {
    pub(super) policy: Box<dyn Policy>,
    pub(super) ejection: Arc<Ejection>,
    pub(super) client: ClientBuilder,
    pub(super) locality: Option<Arc<str>>,
    pub(super) locality_share: f64,
}

impl BalancerBuilder {
    pub(super) fn new(discover: impl Discover) -> Self {
        Self {
            discover: Box::new(discover),
            settings: Settings {
                policy: Box::new(LeastPending::default()),
                ejection: Arc::default(),
                client: ClientBuilder::default(),
                locality: None,
                locality_share: LOCALITY_SHARE,
            },
        }
    }

    /// How calls are spread over the endpoints that can take them; default [`LeastPending`](super::LeastPending).
    pub fn policy(self, policy: impl Policy) -> Self {
        self.boxed_policy(Box::new(policy))
    }

    /// A policy that is chosen while the program runs.
    pub fn boxed_policy(mut self, policy: Box<dyn Policy>) -> Self {
        self.settings.policy = policy;
        self
    }

    /// When endpoints that fail get no more calls, and how they come back; default as [`Ejection`] says.
    pub fn ejection(mut self, ejection: Ejection) -> Self {
        self.settings.ejection = Arc::new(ejection);
        self
    }

    /// Where this client is, such as the name of its zone; default nowhere. While half of the endpoints with the same
    /// locality can take calls, all calls go to those; otherwise, to all endpoints.
    pub fn locality(mut self, locality: impl Into<Arc<str>>) -> Self {
        self.settings.locality = Some(locality.into());
        self
    }

    /// Share of the endpoints near that must be able to take calls, for all calls to go to them, from 0 to 1; default 0.5.
    /// With more, calls leave the locality sooner; with less, few endpoints may have to take what was meant for many.
    pub fn locality_share(mut self, share: f64) -> Self {
        self.settings.locality_share = share;
        self
    }

    /// The connections to each endpoint: all settings but the address, which each has of its own; default
    /// [`ClientBuilder::default`]. At least one connection to each endpoint is kept, unless the policy wants
    /// [one endpoint at a time](super::Policy::one_at_a_time). The timeout is that of calls of the balancer, and
    /// `max_waiting` is the number of its calls that may wait for an endpoint.
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.settings.client = client;
        self
    }
}

impl fmt::Debug for BalancerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalancerBuilder")
            .field("discover", &self.discover)
            .field("policy", &self.settings.policy)
            .field("ejection", &self.settings.ejection)
            .field("locality", &self.settings.locality)
            .finish_non_exhaustive()
    }
}
