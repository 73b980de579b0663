use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout_at;

use super::builder::BalancerBuilder;
use super::discover::Discover;
use super::discovery;
use super::endpoint::EndpointId;
use super::member::{Member, Picked};
use super::pick::Pick;
use super::registry::Registry;
use crate::client::CloseReport;
use crate::conn::{Usage, now};
use crate::error::{Error, ErrorKind, Outcome};
use crate::transport::Address;

/// Many endpoints behind one name: a pool of connections to each, and a choice among them for each call. Cheap to clone.
///
/// It keeps a connection to every endpoint, and makes it again when it is lost; calls go to those endpoints that have
/// one. Where a server ends, no call is sent to it from the moment its end is seen.
///
/// When the last clone is dropped, the connections end as soon as every call has its answer.
#[derive(Clone)]
pub struct Balancer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) registry: Arc<Registry>,
    discovery: Mutex<Discovery>,
}

/// The task that looks for endpoints.
enum Discovery {
    Idle(Box<dyn Discover>),
    Running(AbortHandle),
    Over,
}

/// An endpoint of a [`Balancer`] at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointState {
    /// What tells it apart from others.
    pub id: EndpointId,
    /// What is dialed.
    pub address: Address,
    /// Its share of the calls, in proportion to the others'.
    pub weight: u8,
    /// Where it is, if that is known.
    pub locality: Option<Arc<str>>,
    /// Connections on which calls may begin.
    pub connections: usize,
    /// Why the last attempt to connect failed, if there is no connection since.
    pub failure: Option<String>,
    /// If it is ejected, when the next call is sent to it, with which it may return.
    pub ejected_until: Option<Instant>,
    /// How often it was ejected lately.
    pub ejections: u32,
    /// Calls that failed in a row.
    pub failures: u32,
    /// Calls in flight.
    pub in_flight: usize,
    /// How long its calls take, as [`Endpoint::latency`](super::Endpoint::latency) says.
    pub latency: Option<Duration>,
    /// Which part of its share of the calls it is to have, while it returns gradually; else 1.
    pub ramp: f32,
}

impl BalancerBuilder {
    /// Finds the endpoints, connects, and makes the balancer when the first endpoint is connected to. With a template
    /// that [waits for ready](crate::client::ClientBuilder::wait_for_ready) it tries for as long as it takes.
    ///
    /// # Errors
    ///
    /// No endpoint could be found, or the first attempt to connect failed at each.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes whatever was begun.
    pub async fn connect(self) -> Result<Balancer, Error> {
        let balancer = self.connect_lazy();
        balancer.connected().await?;
        Ok(balancer)
    }

    /// Makes the balancer, which looks for endpoints and connects to them when the first call is made.
    pub fn connect_lazy(self) -> Balancer {
        Balancer {
            inner: Arc::new(Inner {
                registry: Registry::new(self.settings),
                discovery: Mutex::new(Discovery::Idle(self.discover)),
            }),
        }
    }
}

impl Balancer {
    /// Begins a balancer of the endpoints that `discover` finds; for a list that does not change, of
    /// [`Static`](super::Static).
    pub fn builder(discover: impl Discover) -> BalancerBuilder {
        BalancerBuilder::new(discover)
    }

    /// A connection for a call, or for an attempt of one, at the endpoint that the policy chooses among those that can
    /// take calls and, where there are others, are not in `tried`. Waits for one until `deadline`.
    ///
    /// Once in 5 s a first attempt may get an endpoint that was ejected, as a probe.
    ///
    /// # Errors
    ///
    /// The last attempt to connect failed at every endpoint (unless the template
    /// [waits for ready](crate::client::ClientBuilder::wait_for_ready)), the deadline passed, too many calls wait already,
    /// or the balancer was closed. Nothing was sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn pick(
        &self,
        pick: &Pick,
        tried: &[EndpointId],
        deadline: Option<Instant>,
    ) -> Result<Picked, Error> {
        match self.try_pick(pick, tried) {
            Some(picked) => Ok(picked),
            // Seldom: the future of a call does not have to hold it.
            None => Box::pin(self.inner.wait(pick, tried, deadline)).await,
        }
    }

    /// The connection that [`pick`](Self::pick) would have at once; `None` if it would wait.
    pub fn try_pick(&self, pick: &Pick, tried: &[EndpointId]) -> Option<Picked> {
        self.inner.registry.try_pick(pick, tried)
    }

    /// Whether an endpoint can take calls now that is not in `tried`.
    pub fn has_others(&self, tried: &[EndpointId]) -> bool {
        self.inner.registry.set.with(|set| set.has_others(tried))
    }

    /// The endpoints, in the order of their list.
    pub fn endpoints(&self) -> Vec<EndpointState> {
        let registry = &self.inner.registry;
        let now = now();
        let members = registry.members().into_iter();
        members
            .map(|member| {
                let endpoint = &member.endpoint;
                let failure = member.client.failure();
                let health = member.health();
                EndpointState {
                    id: endpoint.id(),
                    address: endpoint.address().clone(),
                    weight: endpoint.weight().get(),
                    locality: endpoint.locality().cloned(),
                    connections: member.client.connections(),
                    failure: failure.map(|failure| failure.to_string()),
                    ejected_until: health.next_probe(),
                    ejections: health.times(&registry.settings.ejection, now),
                    failures: health.failures(),
                    in_flight: endpoint.in_flight(),
                    latency: endpoint.latency(),
                    ramp: endpoint.ramp(),
                }
            })
            .collect()
    }

    /// What calls hold now of the connections on which calls may begin.
    pub fn usage(&self) -> Usage {
        let members = self.inner.registry.members().into_iter();
        members.fold(Usage::default(), |sum, member| {
            sum.plus(member.client.usage())
        })
    }

    /// When a call that begins now and brings no deadline has to be done.
    pub fn default_deadline(&self) -> Option<Instant> {
        self.inner.registry.settings.client.default_deadline()
    }

    /// Takes no further call. Connections end when every call has its answer.
    pub fn close(&self) {
        self.inner.close();
    }

    /// [Closes](Self::close) the balancer and all of its clones, and waits until every call has its answer and every
    /// connection has ended; calls that still run after `grace` fail then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the balancer closed, and its calls without a limit but their own.
    pub async fn close_within(&self, grace: Duration) -> CloseReport {
        let began = now();
        let mut closing = JoinSet::new();
        for member in self.inner.close() {
            closing.spawn(async move { member.client.close_within(grace).await });
        }
        let mut sum = CloseReport::default();
        while let Some(Ok(report)) = closing.join_next().await {
            sum.cut_calls += report.cut_calls;
            sum.cut_connections += report.cut_connections;
        }
        sum.took = now().saturating_duration_since(began);
        sum
    }

    /// Waits for the first endpoint.
    async fn connected(&self) -> Result<(), Error> {
        let mut changes = self.inner.registry.changes.subscribe();
        self.inner.start();
        loop {
            if !self.inner.registry.is_empty() {
                return Ok(());
            }
            self.inner.registry.check()?;
            changed(&mut changes).await;
        }
    }
}

impl Inner {
    /// Begins to look for endpoints.
    fn start(&self) {
        let mut discovery = self
            .discovery
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *discovery = match std::mem::replace(&mut *discovery, Discovery::Over) {
            Discovery::Idle(discover) => {
                let _ = self.registry.runtime.set(Handle::current());
                let task = tokio::spawn(discovery::run(discover, Arc::downgrade(&self.registry)));
                Discovery::Running(task.abort_handle())
            }
            other => other,
        };
    }

    fn close(&self) -> Vec<Arc<Member>> {
        let mut discovery = self
            .discovery
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Discovery::Running(task) = std::mem::replace(&mut *discovery, Discovery::Over) {
            task.abort();
        }
        drop(discovery);
        self.registry.close()
    }

    /// Waits for an endpoint with a free channel.
    async fn wait(
        &self,
        pick: &Pick,
        tried: &[EndpointId],
        deadline: Option<Instant>,
    ) -> Result<Picked, Error> {
        let _place = self.enter()?;
        let mut changes = self.registry.changes.subscribe();
        self.start();
        loop {
            changes.borrow_and_update();
            // What changes from here on is seen below.
            let pick = pick.at(now());
            if let Some(picked) = self.registry.try_pick(&pick, tried) {
                return Ok(picked);
            }
            let Some(member) = self.registry.choice(&pick) else {
                self.registry.check()?;
                self.until(deadline, changed(&mut changes)).await?;
                continue;
            };
            // Every channel of every endpoint is in use.
            let mut free = pin!(member.client.ready(deadline));
            let first = {
                let mut change = pin!(changed(&mut changes));
                poll_fn(|context| match free.as_mut().poll(context) {
                    Poll::Ready(result) => Poll::Ready(Some(result)),
                    Poll::Pending => change.as_mut().poll(context).map(|()| None),
                })
                .await
            };
            match first {
                Some(Ok(connection)) => return Ok(member.picked(connection, &pick, None)),
                Some(Err(error)) if !error.is_connection() => return Err(error),
                // It has lost its connections, and the registry is told.
                Some(Err(_)) => self.until(deadline, changed(&mut changes)).await?,
                None => {}
            }
        }
    }

    async fn until(
        &self,
        deadline: Option<Instant>,
        what: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        match deadline {
            None => what.await,
            Some(at) => timeout_at(at.into(), what).await.map_err(|_| {
                let text = format!(
                    "the deadline passed while waiting for a connection to any of {} endpoints (timeout)",
                    self.registry.members().len()
                );
                Error::new(ErrorKind::Deadline, Outcome::NotSent, text)
            })?,
        }
        Ok(())
    }

    /// One more call waits, until what is returned is dropped.
    fn enter(&self) -> Result<Place<'_>, Error> {
        let most = self.registry.settings.client.most_waiting();
        let waiting = self.registry.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        if waiting < most {
            return Ok(place);
        }
        let text = format!("{most} calls wait for an endpoint already (max_waiting)");
        Err(Error::new(ErrorKind::QueueFull, Outcome::NotSent, text))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

struct Place<'a>(&'a Inner);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.registry.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits for a change. The registry, which makes them, lives as long as who waits.
async fn changed(changes: &mut watch::Receiver<()>) {
    let _ = changes.changed().await;
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("endpoints", &self.inner.registry.members().len())
            .finish_non_exhaustive()
    }
}
