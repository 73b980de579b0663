use std::fmt;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::failure::{BoxError, status_of};
use super::service::{Answer, Layered, TowerService};
use crate::{Body, Request, Response, RpcService, Status};

/// A service of tower's whose type is forgotten: what the layers of a channel or a server stand around. Whether it is
/// ready, what is inside decides.
pub struct BoxedService {
    service: Box<dyn CloneService>,
}

/// Tower's service in the form that a type can be forgotten in.
trait CloneService: Send {
    fn clone_box(&self) -> Box<dyn CloneService>;
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>>;
    fn call(&mut self, request: Request<Body>) -> Answer;
}

impl<T> CloneService for T
where
    T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    T::Error: Into<BoxError>,
    T::Future: Send,
{
    fn clone_box(&self) -> Box<dyn CloneService> {
        Box::new(self.clone())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Service::poll_ready(self, context).map_err(status_of)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let call = Service::call(self, request);
        Box::pin(async move { call.await.map_err(status_of) })
    }
}

impl BoxedService {
    /// Forgets the type of `service`.
    pub fn new<T>(service: T) -> Self
    where
        T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        T::Error: Into<BoxError>,
        T::Future: Send,
    {
        Self {
            service: Box::new(service),
        }
    }
}

impl Clone for BoxedService {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone_box(),
        }
    }
}

impl Service<Request<Body>> for BoxedService {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        self.service.call(request)
    }
}

impl fmt::Debug for BoxedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedService").finish_non_exhaustive()
    }
}

/// The layers that a builder collects, outermost first.
#[derive(Default)]
pub(crate) struct Layers {
    list: Vec<Box<dyn FnOnce(BoxedService) -> BoxedService + Send>>,
}

impl Layers {
    /// Adds a layer inside those there are.
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<BoxedService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
    {
        let around = move |inner| BoxedService::new(layer.layer(inner));
        self.list.push(Box::new(around));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts the layers around `service`.
    pub(crate) fn around(self, service: impl RpcService) -> Layered<BoxedService> {
        let innermost = BoxedService::new(TowerService::new(service));
        let list = self.list.into_iter().rev();
        Layered::new(list.fold(innermost, |inner, layer| layer(inner)))
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} layers", self.list.len())
    }
}
