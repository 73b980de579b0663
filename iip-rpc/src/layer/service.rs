use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::failure::{BoxError, status_of};
use super::within::within;
use crate::{Body, Outcome, Request, Response, RpcService, Status};

/// A call in progress, of any type.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

/// A [`RpcService`] as tower's layers take it. It is always ready: what it cannot do at once waits in the call, until
/// the call's deadline.
#[derive(Clone, Debug)]
pub struct TowerService<S> {
    service: S,
}

impl<S: RpcService> TowerService<S> {
    /// Makes `service` fit tower's layers.
    pub fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S: RpcService> Service<Request<Body>> for TowerService<S> {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let service = self.service.clone();
        Box::pin(async move { service.call(request).await })
    }
}

/// A service of tower's as a [`RpcService`], made by [`layered`]. Each call goes to a clone that said that it is ready,
/// as tower's contract wants it, and waits for that no longer than until its deadline.
pub struct Layered<T> {
    /// Behind a lock so that the service need not be `Sync`; held only to clone it.
    service: Mutex<T>,
}

/// Puts `layer` around something that makes calls: a channel, a server in the same process, or another layered service.
///
/// ```
/// # use iip_rpc::RpcService;
/// # fn demo(channel: impl RpcService) -> impl RpcService {
/// use iip_rpc::layer::{Timeout, layered};
/// // What a generated client takes: `GreeterClient::new(service)`.
/// layered(channel, Timeout::new(std::time::Duration::from_secs(1)))
/// # }
/// ```
pub fn layered<S, L>(service: S, layer: L) -> Layered<L::Service>
where
    S: RpcService,
    L: Layer<TowerService<S>>,
{
    Layered::new(layer.layer(TowerService::new(service)))
}

impl<T> Layered<T> {
    /// Makes a service of tower's callable by generated clients.
    pub fn new(service: T) -> Self {
        Self {
            service: Mutex::new(service),
        }
    }
}

impl<T: Clone> Layered<T> {
    fn instance(&self) -> T {
        // A clone that panicked changed nothing.
        self.service
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<T> RpcService for Layered<T>
where
    T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send,
{
    fn call(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send {
        run(self.instance(), request)
    }
}

impl<T> Layered<T>
where
    T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send,
{
    /// [`RpcService::call`] whose future has a type.
    pub(crate) fn start(&self, request: Request<Body>) -> Answer {
        Box::pin(run(self.instance(), request))
    }
}

/// Waits until `service` is ready and calls it, both no longer than until the request's deadline.
pub(super) async fn run<T>(mut service: T, request: Request<Body>) -> Result<Response<Body>, Status>
where
    T: Service<Request<Body>, Response = Response<Body>>,
    T::Error: Into<BoxError>,
{
    let deadline = request.deadline();
    let ready = poll_fn(|context| service.poll_ready(context));
    match within(deadline, ready).await {
        Some(Ok(())) => {}
        Some(Err(error)) => return Err(status_of(error)),
        None => return Err(expired_waiting()),
    }
    match within(deadline, service.call(request)).await {
        Some(Ok(response)) => Ok(response),
        Some(Err(error)) => Err(status_of(error)),
        None => Err(expired()),
    }
}

/// What a call gets that waited for its turn until its deadline.
pub(super) fn expired_waiting() -> Status {
    Status::deadline_exceeded("the deadline passed while the call waited in a layer for its turn")
        .with_phase("layer")
        .with_outcome(Outcome::NotProcessed)
}

fn expired() -> Status {
    Status::deadline_exceeded("the deadline passed before the layers had an answer")
        .with_phase("layer")
        .with_outcome(Outcome::Unknown)
}

impl<T: Clone> Clone for Layered<T> {
    fn clone(&self) -> Self {
        Self::new(self.instance())
    }
}

impl<T> fmt::Debug for Layered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").finish_non_exhaustive()
    }
}
