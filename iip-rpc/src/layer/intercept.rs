use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::failure::BoxError;
use super::service::{Answer, run};
use super::stack::BoxedService;
use crate::{Body, Request, Response, Status};

/// What stands around a call in plain async code: it sees the request, decides whether and when the call goes on, and
/// sees the response. Every `Fn(Request<Body>, Next) -> impl Future` is one; see [`interceptor`].
pub trait Intercept: Send + Sync + 'static {
    /// Answers one call. `next.run(request).await` makes it; whatever happens before and after is the interceptor's.
    fn call(
        &self,
        request: Request<Body>,
        next: Next,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send;
}

impl<F, Fut> Intercept for F
where
    F: Fn(Request<Body>, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>, Status>> + Send,
{
    fn call(
        &self,
        request: Request<Body>,
        next: Next,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send {
        self(request, next)
    }
}

/// The call that an interceptor stands around: the layers inside it, and the method at last.
#[derive(Clone, Debug)]
pub struct Next {
    service: BoxedService,
}

impl Next {
    /// Makes the call. A clone can make another one.
    ///
    /// # Errors
    ///
    /// What the layers inside or the method failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up.
    pub async fn run(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        run(self.service, request).await
    }
}

/// The layer of an interceptor.
pub struct Interceptor<I> {
    intercept: Arc<I>,
}

/// A layer of an async function that stands around each call.
///
/// ```
/// use iip_rpc::layer::interceptor;
///
/// let layer = interceptor(|mut request, next| async move {
///     request.metadata_mut().insert("x-tenant", "42")?;
///     let response = next.run(request).await?;
///     println!("{:?}", response.metadata());
///     Ok(response)
/// });
/// # let _ = iip_rpc::Server::builder().layer(layer);
/// ```
pub fn interceptor<F, Fut>(function: F) -> Interceptor<F>
where
    F: Fn(Request<Body>, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>, Status>> + Send,
{
    Interceptor::new(function)
}

impl<I: Intercept> Interceptor<I> {
    /// A layer of `intercept`.
    pub fn new(intercept: I) -> Self {
        Self {
            intercept: Arc::new(intercept),
        }
    }
}

impl<I> Clone for Interceptor<I> {
    fn clone(&self) -> Self {
        Self {
            intercept: Arc::clone(&self.intercept),
        }
    }
}

impl<I> fmt::Debug for Interceptor<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interceptor").finish_non_exhaustive()
    }
}

impl<I, S> Layer<S> for Interceptor<I>
where
    I: Intercept,
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Service = Intercepted<I>;

    fn layer(&self, inner: S) -> Intercepted<I> {
        Intercepted {
            intercept: Arc::clone(&self.intercept),
            next: Next {
                service: BoxedService::new(inner),
            },
        }
    }
}

/// A service with an [`Intercept`] around it. It is always ready: the readiness of what is inside is waited for when
/// the call goes on.
pub struct Intercepted<I> {
    intercept: Arc<I>,
    next: Next,
}

impl<I: Intercept> Service<Request<Body>> for Intercepted<I> {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let (intercept, next) = (Arc::clone(&self.intercept), self.next.clone());
        Box::pin(async move { intercept.call(request, next).await })
    }
}

impl<I> Clone for Intercepted<I> {
    fn clone(&self) -> Self {
        Self {
            intercept: Arc::clone(&self.intercept),
            next: self.next.clone(),
        }
    }
}

impl<I> fmt::Debug for Intercepted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted").finish_non_exhaustive()
    }
}

/// Makes an [`Intercept`] of this module a layer by itself.
macro_rules! layer_of_intercept {
    ($name:ty) => {
        impl<S> ::tower_layer::Layer<S> for $name
        where
            S: ::tower_service::Service<
                    $crate::Request<$crate::Body>,
                    Response = $crate::Response<$crate::Body>,
                > + Clone
                + Send
                + 'static,
            S::Error: Into<$crate::layer::BoxError>,
            S::Future: Send,
        {
            type Service = $crate::layer::Intercepted<$name>;

            fn layer(&self, inner: S) -> Self::Service {
                ::tower_layer::Layer::layer(&$crate::layer::Interceptor::new(self.clone()), inner)
            }
        }
    };
}
pub(super) use layer_of_intercept;
