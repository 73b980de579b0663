use std::sync::Arc;

use super::endpoint::EndpointId;
use super::member::{Member, Picked};
use super::pick::{Pick, Picker, Policy};

/// How often the policy is asked for an endpoint that was not tried and has a free channel, before any such is taken.
const ATTEMPTS: u32 = 3;

/// The endpoints that can take calls, and who chooses among them.
pub(super) struct Set {
    pub(super) members: Vec<Arc<Member>>,
    picker: Box<dyn Picker>,
}

impl Set {
    pub(super) fn new(policy: &dyn Policy, members: Vec<Arc<Member>>) -> Self {
        let endpoints: Vec<_> = members
            .iter()
            .map(|member| Arc::clone(&member.endpoint))
            .collect();
        Self {
            picker: policy.picker(&endpoints),
            members,
        }
    }

    /// The policy's choice, whatever its state.
    pub(super) fn choice(&self, pick: &Pick) -> Option<&Arc<Member>> {
        self.members.get(self.picker.pick(pick)?)
    }

    /// A connection with a free channel: where the policy wants it, else at an endpoint that was not tried, else at one
    /// that was.
    pub(super) fn pick(&self, pick: &Pick, tried: &[EndpointId]) -> Option<Picked> {
        let fresh = |member: &Arc<Member>| !tried.contains(&member.endpoint.id());
        for attempt in 0..ATTEMPTS {
            let again = pick.with_attempt(pick.attempt().saturating_add(attempt));
            let member = self.choice(&again)?;
            if fresh(member)
                && takes_its_share(member)
                && let Some(connection) = member.client.try_ready()
            {
                return Some(member.picked(connection, pick, None));
            }
        }
        let mut free = self.members.iter().filter_map(|member| {
            let connection = member.client.try_ready()?;
            Some((member, connection))
        });
        let mut second = None;
        let best = free.find(|(member, connection)| {
            let whole = member.endpoint.ramp() >= 1.0;
            if fresh(member) && whole {
                return true;
            }
            if second.is_none() || fresh(member) {
                second = Some((*member, connection.clone()));
            }
            false
        });
        let (member, connection) = best.or(second)?;
        Some(member.picked(connection, pick, None))
    }

    /// Whether an endpoint is there that was not tried.
    pub(super) fn has_others(&self, tried: &[EndpointId]) -> bool {
        let mut members = self.members.iter();
        members.any(|member| !tried.contains(&member.endpoint.id()))
    }
}

/// While an endpoint returns, it gets a part of the calls that the policy sends there.
fn takes_its_share(member: &Member) -> bool {
    let ramp = member.endpoint.ramp();
    ramp >= 1.0 || fastrand::f32() < ramp
}
