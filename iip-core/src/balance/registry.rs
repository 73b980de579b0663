use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::builder::Settings;
use super::discover::DiscoverError;
use super::ejection::{Ejection, Probe};
use super::endpoint::{Endpoint, EndpointId};
use super::member::{Member, Notice, Overseer, Picked};
use super::pick::Pick;
use super::published::Published;
use super::set::Set;
use super::target::Target;
use crate::client::{Client, Watcher};
use crate::conn::now;
use crate::error::{Error, ErrorKind, Outcome};
use crate::transport::Address;

/// No probe is due, ever.
const NEVER: u64 = u64::MAX;

/// Steps in which the share of an endpoint grows that has returned.
const RAMP_STEPS: u32 = 20;

/// All endpoints of a balancer, and which of them can take calls.
pub(super) struct Registry {
    pub(super) settings: Settings,
    this: Weak<Self>,
    /// What calls are spread over.
    pub(super) set: Published<Set>,
    /// When the next ejected endpoint may be probed, in nanoseconds since `origin`.
    next_probe: AtomicU64,
    origin: Instant,
    /// Whether anything changed that who waits for an endpoint has to know.
    pub(super) changes: watch::Sender<()>,
    pub(super) waiting: AtomicUsize,
    state: Mutex<State>,
    /// Where it was used first. Calls can end outside of it.
    pub(super) runtime: OnceLock<Handle>,
}

#[derive(Default)]
struct State {
    /// In the order of the list.
    members: Vec<Entry>,
    /// A list of endpoints has come.
    listed: bool,
    /// Why the list could not be had the last time.
    failure: Option<Arc<DiscoverError>>,
    closed: bool,
}

struct Entry {
    member: Arc<Member>,
    /// Connections to it are made, and kept.
    started: bool,
    connected: bool,
}

impl Registry {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        let set = Published::new(Set::new(&*settings.policy, Vec::new()));
        Arc::new_cyclic(|this| Self {
            settings,
            this: Weak::clone(this),
            set,
            next_probe: AtomicU64::new(NEVER),
            origin: now(),
            changes: watch::Sender::new(()),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
            runtime: OnceLock::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes another list. Endpoints that were in the last one keep what they have.
    pub(super) fn apply(&self, targets: Vec<Target>) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let before = std::mem::take(&mut state.members);
        let mut before: HashMap<Address, Entry> = before
            .into_iter()
            .map(|entry| (entry.member.endpoint.address().clone(), entry))
            .collect();
        let mut taken = HashSet::new();
        for target in targets {
            // One that is there twice counts once.
            if !taken.insert(target.address().clone()) {
                continue;
            }
            let old = before.remove(target.address());
            let entry = match old {
                Some(entry) if entry.member.endpoint.locality() == target.locality() => {
                    entry.member.endpoint.set_weight(target.weight());
                    entry
                }
                other => {
                    if let Some(other) = other {
                        before.insert(target.address().clone(), other);
                    }
                    self.entry(Endpoint::new(target))
                }
            };
            state.members.push(entry);
        }
        state.listed = true;
        state.failure = None;
        self.start(&mut state);
        self.rebuild(&mut state, true);
        drop(state);
        // Nobody is sent to them any more: calls in flight end, and then their connections.
        for gone in before.into_values() {
            gone.member.client.close();
        }
        self.changes.send_replace(());
    }

    fn entry(&self, endpoint: Arc<Endpoint>) -> Entry {
        let client = self.client(endpoint.address());
        let overseer: Weak<dyn Overseer> = self.this.clone();
        let ejection = Arc::clone(&self.settings.ejection);
        Entry {
            member: Arc::new(Member::new(endpoint, client, ejection, overseer)),
            started: false,
            connected: false,
        }
    }

    fn client(&self, address: &Address) -> Client {
        let config = self.settings.client.endpoint(address);
        Client::new(config, Some(Arc::new(Hook(self.this.clone()))))
    }

    /// There is no list now.
    pub(super) fn not_listed(&self, failure: Arc<DiscoverError>) {
        self.state().failure = Some(failure);
        self.changes.send_replace(());
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let members = std::mem::take(&mut state.members);
        self.rebuild(&mut state, true);
        drop(state);
        for entry in members {
            entry.member.client.close();
        }
        self.changes.send_replace(());
    }

    /// Finds out anew which endpoints can take calls. `false`: the same as before.
    fn rebuild(&self, state: &mut State, listed: bool) -> bool {
        let now = now();
        for entry in &mut state.members {
            let connected = entry.member.is_connected();
            if connected && !entry.connected {
                entry.member.health().reconnected(now);
            }
            entry.connected = connected;
        }
        self.restrain(state, now);
        let usable = self.usable(state);
        let same = |set: &Set| {
            set.members.len() == usable.len()
                && std::iter::zip(&set.members, &usable).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        // The weights may be others.
        let changed = listed || !self.set.with(same);
        if changed {
            let set = Set::new(&*self.settings.policy, usable);
            self.set.publish(set);
        }
        self.schedule_probe(state);
        changed
    }

    /// Connects to every endpoint, or to the next one if only one is wanted.
    fn start(&self, state: &mut State) {
        if !self.settings.policy.one_at_a_time() {
            for entry in &mut state.members {
                if !std::mem::replace(&mut entry.started, true) {
                    entry.member.client.start();
                }
            }
            return;
        }
        let connected = |entry: &Entry| entry.started && entry.member.is_connected();
        if let Some(first) = state.members.iter().position(connected) {
            for index in 0..state.members.len() {
                if index != first && state.members[index].started {
                    self.renew(&mut state.members[index]);
                }
            }
            return;
        }
        for entry in &mut state.members {
            if !std::mem::replace(&mut entry.started, true) {
                entry.member.client.start();
            }
            // The next one's turn comes when this one has failed.
            if entry.member.client.failure().is_none() {
                return;
            }
        }
    }

    /// Gives up the connections to an endpoint, until it is started again.
    fn renew(&self, entry: &mut Entry) {
        entry.member.client.close();
        let endpoint = Arc::clone(&entry.member.endpoint);
        let client = self.client(endpoint.address());
        entry.member = Arc::new(entry.member.with(client));
        entry.started = false;
        entry.connected = false;
    }

    /// Sees to it that not too many endpoints are ejected when there are fewer of them than before.
    fn restrain(&self, state: &State, now: Instant) {
        let mut ejected: Vec<_> = state
            .members
            .iter()
            .filter_map(|entry| {
                let since = entry.member.health().ejected_since()?;
                Some((since, &entry.member))
            })
            .collect();
        ejected.sort_by_key(|(since, _)| *since);
        let surplus = ejected
            .len()
            .saturating_sub(Ejection::most(state.members.len()));
        for (_, member) in ejected.into_iter().take(surplus) {
            self.restore(member, now);
        }
    }

    /// Lets an ejected endpoint take calls again, at first a small part of its share.
    fn restore(&self, member: &Arc<Member>, now: Instant) {
        let over = member
            .health()
            .return_to_service(&self.settings.ejection, now);
        member
            .endpoint
            .set_ramp(if over.is_zero() { 1.0 } else { ramp_at(0) });
        if let Some(runtime) = self.runtime.get().filter(|_| !over.is_zero()) {
            runtime.spawn(ramp_up(Arc::downgrade(member), now, over));
        }
    }

    /// The endpoints that take calls: connected, not ejected, and near if enough of those near are. If all that are
    /// connected are ejected, they all do.
    fn usable(&self, state: &State) -> Vec<Arc<Member>> {
        let connected = || state.members.iter().filter(|entry| entry.connected);
        let mut usable: Vec<_> = connected()
            .filter(|entry| entry.member.health().ejected_since().is_none())
            .map(|entry| Arc::clone(&entry.member))
            .collect();
        if usable.is_empty() {
            usable = connected().map(|entry| Arc::clone(&entry.member)).collect();
        }
        if self.settings.policy.one_at_a_time() {
            usable.truncate(1);
        }
        let Some(locality) = &self.settings.locality else {
            return usable;
        };
        let is_near = |member: &Arc<Member>| member.endpoint.locality() == Some(locality);
        let all = state
            .members
            .iter()
            .filter(|entry| is_near(&entry.member))
            .count();
        let near = usable.iter().filter(|member| is_near(member)).count();
        if near > 0 && near as f64 >= all as f64 * self.settings.locality_share {
            usable.retain(is_near);
        }
        usable
    }

    fn schedule_probe(&self, state: &State) {
        let connected = state.members.iter().filter(|entry| entry.connected);
        let next = connected
            .filter_map(|entry| entry.member.health().next_probe())
            .min();
        let next = next.map_or(NEVER, |at| self.since_origin(at));
        self.next_probe.store(next, Ordering::Relaxed);
    }

    fn since_origin(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(nanos).unwrap_or(NEVER - 1)
    }

    /// An endpoint for a call, if there is one to which it can go at once.
    pub(super) fn try_pick(&self, pick: &Pick, tried: &[EndpointId]) -> Option<Picked> {
        if self.since_origin(pick.now()) >= self.next_probe.load(Ordering::Relaxed)
            && tried.is_empty()
            && let Some(picked) = self.probe(pick)
        {
            return Some(picked);
        }
        self.set.with(|set| set.pick(pick, tried))
    }

    /// Makes the call a probe of an ejected endpoint whose time has come.
    fn probe(&self, pick: &Pick) -> Option<Picked> {
        let state = self.state();
        let mut connected = state.members.iter().filter(|entry| entry.connected);
        let picked = connected.find_map(|Entry { member, .. }| {
            let connection = member.client.try_ready()?;
            let probe = member
                .health()
                .try_probe(&self.settings.ejection, pick.now())?;
            Some(member.picked(connection, pick, Some(probe)))
        });
        self.schedule_probe(&state);
        picked
    }

    /// The policy's choice, whether it has a free channel or not; `None` if no endpoint can take calls.
    pub(super) fn choice(&self, pick: &Pick) -> Option<Arc<Member>> {
        self.set.with(|set| set.choice(pick).cloned())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.with(|set| set.members.is_empty())
    }

    /// Why calls fail now instead of waiting for an endpoint, if they do.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_state(&self.state())
    }

    fn check_state(&self, state: &State) -> Result<(), Error> {
        if state.closed {
            let text = "the balancer was closed";
            return Err(Error::new(ErrorKind::Closed, Outcome::NotSent, text));
        }
        if self.settings.client.waits_for_ready() {
            return Ok(());
        }
        if !state.listed {
            return match &state.failure {
                None => Ok(()),
                Some(failure) => {
                    Err(
                        Error::new(ErrorKind::Connect, Outcome::NotSent, "no endpoint is known")
                            .with_source(Arc::clone(failure)),
                    )
                }
            };
        }
        let mut why = None;
        for entry in &state.members {
            let failure = entry.member.client.failure();
            if entry.member.is_connected() || failure.is_none() {
                return Ok(());
            }
            why = failure;
        }
        let text = match state.members.len() {
            1 => "no connection to the only endpoint".to_owned(),
            count => format!("no connection to any of {count} endpoints, the last of them"),
        };
        let error = Error::new(ErrorKind::Connect, Outcome::NotSent, text);
        Err(match why {
            Some(why) => error.with_source(why),
            None => error,
        })
    }

    /// The endpoints in the order of the list, and whether each takes calls now.
    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        let state = self.state();
        let members = state.members.iter();
        members.map(|entry| Arc::clone(&entry.member)).collect()
    }

    fn eject(&self, state: &mut State, member: &Arc<Member>, why: &str) {
        let is_out = |entry: &&Entry| entry.member.health().ejected_since().is_some();
        let ejected = state.members.iter().filter(is_out).count();
        let listed = |entry: &Entry| entry.member.endpoint.id() == member.endpoint.id();
        if ejected >= Ejection::most(state.members.len()) || !state.members.iter().any(listed) {
            return;
        }
        tracing::warn!(endpoint = %member.endpoint.address(), why, "an endpoint is ejected");
        member.health().eject(&self.settings.ejection, now());
        // If no other endpoint is left, all that are ejected share the calls.
        member.endpoint.set_ramp(1.0);
        self.rebuild(state, false);
    }

    fn compare(&self, state: &mut State, member: &Arc<Member>) {
        let now = now();
        let mean =
            |member: &Arc<Member>| member.health().mean_latency(&self.settings.ejection, now);
        let Some(own) = mean(member) else {
            return;
        };
        let mut all: Vec<Duration> = state
            .members
            .iter()
            .filter_map(|entry| mean(&entry.member))
            .collect();
        if self.settings.ejection.is_slow(own, &mut all) {
            self.eject(state, member, "it is slow");
        }
    }

    fn probed(&self, state: &mut State, member: &Arc<Member>, probe: Probe, failed: Option<bool>) {
        if member.health().probe_ended(probe, failed) {
            tracing::info!(endpoint = %member.endpoint.address(), "an ejected endpoint returns");
            self.restore(member, now());
            self.rebuild(state, false);
        }
    }
}

impl Overseer for Registry {
    fn notice(&self, member: &Arc<Member>, notice: Notice) {
        let mut state = self.state();
        match notice {
            Notice::Failing => self.eject(&mut state, member, "its calls fail"),
            Notice::Comparable => self.compare(&mut state, member),
            Notice::Probed(probe, failed) => self.probed(&mut state, member, probe, failed),
        }
    }
}

/// The part of its share that an endpoint has after so many steps.
fn ramp_at(step: u32) -> f32 {
    (step + 1) as f32 / (RAMP_STEPS + 1) as f32
}

/// Lets the share of an endpoint grow that has returned, until it is ejected again.
async fn ramp_up(member: Weak<Member>, returned: Instant, over: Duration) {
    for step in 1..=RAMP_STEPS {
        tokio::time::sleep(over / RAMP_STEPS).await;
        let Some(member) = member.upgrade() else {
            return;
        };
        // Under its lock, so that no ejection comes between.
        let health = member.health();
        if health.returned() != Some(returned) {
            return;
        }
        member.endpoint.set_ramp(ramp_at(step));
        drop(health);
    }
}

/// Tells a registry of its endpoints' connections, without keeping it alive.
struct Hook(Weak<Registry>);

impl Watcher for Hook {
    fn changed(&self) {
        if let Some(registry) = self.0.upgrade() {
            let mut state = registry.state();
            registry.start(&mut state);
            let changed = registry.rebuild(&mut state, false);
            let hopeless = registry.check_state(&state).is_err();
            drop(state);
            // What else changed concerns nobody who waits, and there may be many.
            if changed || hopeless {
                registry.changes.send_replace(());
            }
        }
    }
}
