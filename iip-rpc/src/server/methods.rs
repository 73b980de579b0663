use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use iip_core::server::Route;
use prost::Message;

use super::dispatch::{Answer, Messages, Method};
use super::handle;
use super::route::UnaryRoute;
use super::stream_route::StreamRoute;
use crate::{
    Body, MethodDescriptor, MethodKind, Outcome, Request, Response, RpcService, Sender, Status,
    Streaming,
};

/// The methods of one service with their handlers. What a generated server struct holds; cheap to clone.
///
/// As a [`RpcService`] it is the service without a network: a client over it runs its handlers in the caller's task,
/// with the same decoding, deadlines and treatment of panics as behind a socket.
#[derive(Clone)]
pub struct Methods {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    table: HashMap<&'static str, Arc<dyn Method>>,
}

/// Builds [`Methods`]; made by [`Methods::builder`].
pub struct MethodsBuilder {
    inner: Inner,
}

/// A generated server struct: the methods of one service.
pub trait NamedService: Clone + Send + Sync + 'static {
    /// The service's full name: `package.Service`.
    const NAME: &'static str;

    /// The methods with their handlers.
    fn methods(&self) -> &Methods;
}

impl<F, Fut, Req, Res> Method for UnaryRoute<F, Req, Res>
where
    F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Res>, Status>> + Send + 'static,
    Req: Message + Default + 'static,
    Res: Message + 'static,
{
    fn descriptor(&self) -> &'static MethodDescriptor {
        self.descriptor
    }

    fn call(&self, request: Request<Body>) -> Answer<'_> {
        Box::pin(handle::unary(self.descriptor, &*self.handler, request))
    }

    fn route(self: Arc<Self>, messages: Messages) -> Arc<dyn Route> {
        Arc::new(UnaryRoute {
            descriptor: self.descriptor,
            handler: Arc::clone(&self.handler),
            messages,
            types: PhantomData,
        })
    }
}

/// A streaming method: `H` says which kind and which types.
struct Stream<F, H> {
    descriptor: &'static MethodDescriptor,
    handler: Arc<F>,
    types: PhantomData<fn() -> H>,
}

macro_rules! streaming_method {
    ($kind:ident, $run:ident, ($($argument:ty),*) -> $output:ty) => {
        struct $kind<Fut, Req, Res>(PhantomData<fn(Req) -> (Fut, Res)>);

        impl<F, Fut, Req, Res> Method for Stream<F, $kind<Fut, Req, Res>>
        where
            F: Fn($($argument),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<$output, Status>> + Send + 'static,
            Req: Message + Default + 'static,
            Res: Message + 'static,
        {
            fn descriptor(&self) -> &'static MethodDescriptor {
                self.descriptor
            }

            fn call(&self, request: Request<Body>) -> Answer<'_> {
                Box::pin(handle::$run(self.descriptor, &self.handler, request))
            }

            fn route(self: Arc<Self>, messages: Messages) -> Arc<dyn Route> {
                Arc::new(StreamRoute { method: self, messages })
            }
        }
    };
}

impl<F, H> Stream<F, H> {
    fn new(descriptor: &'static MethodDescriptor, handler: F) -> Self {
        Self {
            descriptor,
            handler: Arc::new(handler),
            types: PhantomData,
        }
    }
}

streaming_method!(ServerStreaming, server_streaming, (Request<Req>, Sender<Res>) -> ());
streaming_method!(ClientStreaming, client_streaming, (Request<Streaming<Req>>) -> Response<Res>);
streaming_method!(Bidirectional, bidi_streaming, (Request<Streaming<Req>>, Sender<Res>) -> ());

impl Methods {
    /// Starts a service with this full name (`package.Service`) and no methods.
    pub fn builder(name: &'static str) -> MethodsBuilder {
        MethodsBuilder {
            inner: Inner {
                name,
                table: HashMap::new(),
            },
        }
    }

    /// Starts a service with the methods of this one, except the one described: another handler may be added for it.
    pub fn without(&self, descriptor: &MethodDescriptor) -> MethodsBuilder {
        let mut table = self.inner.table.clone();
        table.remove(descriptor.path());
        MethodsBuilder {
            inner: Inner {
                name: self.inner.name,
                table,
            },
        }
    }

    /// The service's full name.
    pub fn name(&self) -> &'static str {
        self.inner.name
    }

    /// The methods, in no order.
    pub fn descriptors(&self) -> impl Iterator<Item = &'static MethodDescriptor> {
        self.inner.table.values().map(|method| method.descriptor())
    }

    /// The methods for the connections of a server.
    pub(super) fn routes(
        &self,
        messages: Messages,
    ) -> impl Iterator<Item = (&'static MethodDescriptor, Arc<dyn Route>)> {
        self.inner
            .table
            .values()
            .map(move |method| (method.descriptor(), Arc::clone(method).route(messages)))
    }
}

impl MethodsBuilder {
    /// Adds a unary method.
    ///
    /// # Panics
    ///
    /// The descriptor is not of a unary method, or its path was added before: a defect of generated code.
    #[must_use]
    pub fn unary<F, Fut, Req, Res>(self, descriptor: &'static MethodDescriptor, handler: F) -> Self
    where
        F: Fn(Request<Req>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Res>, Status>> + Send + 'static,
        Req: Message + Default + 'static,
        Res: Message + 'static,
    {
        let method = UnaryRoute {
            descriptor,
            handler: Arc::new(handler),
            messages: Messages {
                max: usize::MAX,
                compress: None,
            },
            types: PhantomData,
        };
        self.add(MethodKind::Unary, method)
    }

    /// Adds a method that answers one message with a stream of them.
    ///
    /// # Panics
    ///
    /// As for [`unary`](Self::unary).
    #[must_use]
    pub fn server_streaming<F, Fut, Req, Res>(
        self,
        descriptor: &'static MethodDescriptor,
        handler: F,
    ) -> Self
    where
        F: Fn(Request<Req>, Sender<Res>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Status>> + Send + 'static,
        Req: Message + Default + 'static,
        Res: Message + 'static,
    {
        let method = Stream::<F, ServerStreaming<Fut, Req, Res>>::new(descriptor, handler);
        self.add(MethodKind::ServerStreaming, method)
    }

    /// Adds a method that answers a stream of messages with one.
    ///
    /// # Panics
    ///
    /// As for [`unary`](Self::unary).
    #[must_use]
    pub fn client_streaming<F, Fut, Req, Res>(
        self,
        descriptor: &'static MethodDescriptor,
        handler: F,
    ) -> Self
    where
        F: Fn(Request<Streaming<Req>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<Res>, Status>> + Send + 'static,
        Req: Message + Default + 'static,
        Res: Message + 'static,
    {
        let method = Stream::<F, ClientStreaming<Fut, Req, Res>>::new(descriptor, handler);
        self.add(MethodKind::ClientStreaming, method)
    }

    /// Adds a method that answers a stream of messages with another.
    ///
    /// # Panics
    ///
    /// As for [`unary`](Self::unary).
    #[must_use]
    pub fn bidi_streaming<F, Fut, Req, Res>(
        self,
        descriptor: &'static MethodDescriptor,
        handler: F,
    ) -> Self
    where
        F: Fn(Request<Streaming<Req>>, Sender<Res>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Status>> + Send + 'static,
        Req: Message + Default + 'static,
        Res: Message + 'static,
    {
        let method = Stream::<F, Bidirectional<Fut, Req, Res>>::new(descriptor, handler);
        self.add(MethodKind::Bidirectional, method)
    }

    fn add(mut self, kind: MethodKind, method: impl Method) -> Self {
        let descriptor = method.descriptor();
        assert_eq!(
            descriptor.kind(),
            kind,
            "{} is of another kind",
            descriptor.path()
        );
        let replaced = self.inner.table.insert(descriptor.path(), Arc::new(method));
        assert!(replaced.is_none(), "{} was added twice", descriptor.path());
        self
    }

    /// The finished methods.
    #[must_use]
    pub fn build(self) -> Methods {
        Methods {
            inner: Arc::new(self.inner),
        }
    }
}

impl RpcService for Methods {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let path = request.method().map_or("", MethodDescriptor::path);
        let Some(method) = self.inner.table.get(path) else {
            return Err(Status::unimplemented(format!(
                "the service {} has no method {path}",
                self.inner.name
            ))
            .with_outcome(Outcome::NotProcessed));
        };
        method.call(request).await
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Methods")
            .field("name", &self.inner.name)
            .field("paths", &self.inner.table.keys())
            .finish()
    }
}

impl fmt::Debug for MethodsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodsBuilder")
            .field("name", &self.inner.name)
            .field("paths", &self.inner.table.keys())
            .finish()
    }
}
