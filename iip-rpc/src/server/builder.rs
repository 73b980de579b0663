use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use iip_core::server::{
    ConnectionLimits, Handler, Listener, Overload, Report, ServerBuilder as Core, StatisticsAccess,
    StreamHandler,
};
use iip_core::session::Limits;
use iip_core::transport::TcpOptions;

use super::dispatch::Messages;
use super::layered;
use super::{Methods, NamedService, Server};
use crate::compression::{COMPRESS_FROM, Packing, supported, told};
use crate::deadline::DEFAULT_TIMEOUT;
use crate::layer::{BoxError, BoxedService, Layer, Layers, Service};
use crate::{Body, Encoding, Request, Response};

/// Collects what a [`Server`] is to do; made by [`Server::builder`]. Every setting has a default that suits a service
/// inside a data centre.
#[must_use = "a builder does nothing until it is bound"]
pub struct ServerBuilder {
    core: Core,
    services: Vec<(Methods, Layers)>,
    layers: Layers,
    limits: Limits,
    max_message: usize,
    compress: Option<Encoding>,
    compress_from: usize,
    accept: Vec<Encoding>,
}

impl Server {
    /// Starts a server without services and listeners, with the default settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }
}

impl ServerBuilder {
    fn new() -> Self {
        Self {
            core: Core::default().default_timeout(Some(DEFAULT_TIMEOUT)),
            services: Vec::new(),
            layers: Layers::default(),
            limits: Limits::default(),
            max_message: 4 * 1024 * 1024,
            compress: None,
            compress_from: COMPRESS_FROM,
            accept: supported(),
        }
    }

    fn set(mut self, change: impl FnOnce(Core) -> Core) -> Self {
        self.core = change(self.core);
        self
    }

    /// Serves the methods of a generated server struct. Any number of services share the port; two of the same name
    /// are an error when the server is made.
    pub fn add_service<S: NamedService>(mut self, service: S) -> Self {
        self.services
            .push((service.methods().clone(), Layers::default()));
        self
    }

    /// [`add_service`](Self::add_service) with a layer around the calls of this service alone, inside those of
    /// [`layer`](Self::layer). Several layers come as one: a pair of two, or tower's `ServiceBuilder`.
    pub fn add_layered_service<S, L>(mut self, service: S, layer: L) -> Self
    where
        S: NamedService,
        L: Layer<BoxedService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
    {
        let mut layers = Layers::default();
        layers.push(layer);
        self.services.push((service.methods().clone(), layers));
        self
    }

    /// Puts a layer around the calls of all services, inside the layers added before: any layer of tower's whose service
    /// can be cloned, or one of [`layer`](crate::layer). It sees the calls of methods that there are, with their messages
    /// still encoded; not raw paths, and not what is refused before, such as calls beyond
    /// [`max_in_flight`](Self::max_in_flight).
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxedService> + Send + 'static,
        L::Service: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        <L::Service as Service<Request<Body>>>::Error: Into<BoxError>,
        <L::Service as Service<Request<Body>>>::Future: Send,
    {
        self.layers.push(layer);
        self
    }

    /// Answers the requests of a path with whole data, beside the services: raw IIP, bytes in and bytes out.
    pub fn handler(self, path: &str, handler: impl Handler) -> Self {
        self.set(|core| core.handler(path, handler))
    }

    /// Answers the requests of a path frame by frame, beside the services.
    pub fn stream_handler(self, path: &str, handler: impl StreamHandler) -> Self {
        self.set(|core| core.stream_handler(path, handler))
    }

    /// Answers the requests of every path that nothing else answers. Without it a call of an unknown method is
    /// `UNIMPLEMENTED`.
    pub fn fallback(self, handler: impl Handler) -> Self {
        self.set(|core| core.fallback(handler))
    }

    /// The deadline of calls that bring none, from their arrival, announced to clients; default 10 s. `None`: such
    /// calls are bounded by [`run_limit`](Self::run_limit) alone.
    pub fn default_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.set(|core| core.default_timeout(timeout.into()))
    }

    /// How long a call without a deadline may run; default 60 s. Calls of plain clients, which cannot say that they
    /// gave up, are not limited.
    pub fn run_limit(self, limit: Duration) -> Self {
        self.set(|core| core.run_limit(limit))
    }

    /// Largest message accepted from a native client, bytes; default 4 MiB. A larger request fails its call with
    /// `RESOURCE_EXHAUSTED`. Costs up to this much memory for each request being received.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Compresses the messages of responses from [`compress_from`](Self::compress_from) on, for clients that said that
    /// they read the encoding (`docs/protocol.md`, section 6.3); default not. Costs processor time for each of them. An
    /// encoding whose feature is not compiled in changes nothing. A response, or a message of a stream, may choose
    /// otherwise with [`Compression`](crate::Compression).
    pub fn compress(mut self, encoding: Encoding) -> Self {
        self.compress = Some(encoding);
        self
    }

    /// Shortest message that is compressed, bytes; default 1,024. 0: every message that gets smaller by it.
    /// `usize::MAX`: only those that ask for it, with
    /// [`Response::with_compression`](crate::Response::with_compression) or
    /// [`Sender::set_compression`](crate::Sender::set_compression). Without [`compress`](Self::compress) it changes nothing.
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.compress_from = bytes;
        self
    }

    /// Encodings that requests may be compressed with; default all whose features are compiled in. A decompressed
    /// message may have as many bytes as another one, and at most 100 times as many as were sent, or 1 MiB.
    pub fn accept(mut self, encodings: impl IntoIterator<Item = Encoding>) -> Self {
        self.accept = encodings.into_iter().collect();
        self
    }

    /// What one connection may cost otherwise. `max_message` of these limits does not count;
    /// [`max_message`](Self::max_message) does.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many connections there may be, and from where.
    pub fn connections(self, limits: ConnectionLimits) -> Self {
        self.set(|core| core.connections(limits))
    }

    /// Calls in progress over all connections, those that are answered at once not counted; default 10,000. Beyond it
    /// calls are refused with `UNAVAILABLE` before anything is decoded, and those with the metadata
    /// `x-criticality: sheddable` beyond three quarters of it.
    pub fn max_in_flight(self, calls: usize) -> Self {
        self.set(|core| core.max_in_flight(calls))
    }

    /// What becomes of calls that cannot be taken at once: limits of a connection, a limit that follows what the server can
    /// do, calls that wait. Default: none wait, and no limit moves. `docs/overload.md` says what to choose.
    pub fn overload(self, settings: Overload) -> Self {
        self.set(|core| core.overload(settings))
    }

    /// How long a peer may accept no byte of what is written to it; default 10 s. Then the connection is closed.
    pub fn write_stall(self, limit: Duration) -> Self {
        self.set(|core| core.write_stall(limit))
    }

    /// Socket options of TCP connections.
    pub fn tcp(self, options: TcpOptions) -> Self {
        self.set(|core| core.tcp(options))
    }

    /// Whose requests for the statistics paths are answered; default [`StatisticsAccess::local`]. Everybody else gets what
    /// an unknown path gets.
    pub fn statistics(self, access: StatisticsAccess) -> Self {
        self.set(|core| core.statistics(access))
    }

    /// How long the server goes on as before when it is told to stop, but for [`ServerHandle::is_ready`], which health
    /// checks tell; default 0, at most a day. About 5 s where a load balancer needs that long to notice. The grace begins
    /// after it.
    ///
    /// [`ServerHandle::is_ready`]: crate::server::ServerHandle::is_ready
    pub fn pre_stop(self, time: Duration) -> Self {
        self.set(|core| core.pre_stop(time))
    }

    /// How old a connection may get, give or take a tenth, so that those made together do not end together; default
    /// without limit. Then it is ended as when the server stops: its client makes its calls on another connection, which
    /// may lead to another server of the same name, and calls in progress go on for `grace`.
    pub fn max_connection_age(self, age: Duration, grace: Duration) -> Self {
        self.set(|core| core.max_connection_age(age, grace))
    }

    /// Not API: for measurements, see `iip_core`.
    #[doc(hidden)]
    pub fn pin_in_place(self) -> Self {
        self.set(Core::pin_in_place)
    }

    /// Also serves this listener. May be given several times.
    pub fn listener(self, listener: impl Into<Listener>) -> Self {
        self.set(|core| core.listener(listener))
    }

    /// Serves the listeners that a service manager has passed to the process, see [`Listener::inherited`]. Where it has
    /// passed some, [`bind`](Self::bind) does not listen on its address; where it has not, because the program was started
    /// by hand, `bind` does.
    #[cfg(feature = "inherited")]
    pub fn inherited(self) -> Self {
        self.set(Core::inherited)
    }

    /// Listens on `address` (`127.0.0.1:9090`, `unix:///run/app.sock`, …), besides the listeners given, and makes the
    /// server. Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// The address is none or cannot be listened on; a path is not one or has two handlers; two services have the same
    /// name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn bind(self, address: impl AsRef<str>) -> io::Result<Server> {
        self.finish()?.bind(address.as_ref()).await.map(Server::new)
    }

    /// Listens on `address` and serves until the future is dropped: [`bind`](Self::bind) and [`Server::serve`] in one,
    /// for programs that need not know when the server listens, or where.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listeners and every connection at once. Use
    /// [`serve_with_shutdown`](Self::serve_with_shutdown) to stop without losing a call.
    pub async fn serve(self, address: impl AsRef<str>) -> io::Result<()> {
        self.bind(address).await?.serve().await
    }

    /// Listens on `address` and serves until `signal` is ready, and then stops without losing a call: [`bind`](Self::bind)
    /// and [`Server::serve_with_shutdown`] in one. Calls that still run after `grace` are answered with `UNAVAILABLE`.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    ///
    /// # Cancel safety
    ///
    /// As for [`serve`](Self::serve).
    pub async fn serve_with_shutdown<F: Future>(
        self,
        address: impl AsRef<str>,
        signal: F,
        grace: Duration,
    ) -> io::Result<Report> {
        self.bind(address)
            .await?
            .serve_with_shutdown(signal, grace)
            .await
    }

    /// Makes the server with the listeners given.
    ///
    /// # Errors
    ///
    /// There is no listener; a path is not one or has two handlers; two services have the same name.
    pub fn build(self) -> io::Result<Server> {
        self.finish()?.build().map(Server::new)
    }

    fn finish(self) -> io::Result<Core> {
        let mut names = HashSet::new();
        let limits = self.limits.max_message(self.max_message);
        let mut core = self.core.limits(limits.encodings(told(&self.accept)));
        let messages = Messages {
            max: self.max_message,
            compress: Packing::set(self.compress, self.compress_from),
        };
        for (service, _) in &self.services {
            if !names.insert(service.name()) {
                let text = format!("the service {} was added twice", service.name());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        }
        for (method, route) in layered::routes(self.services, self.layers, messages) {
            core = core.route(method.wire_path(), route);
        }
        Ok(core)
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("services", &self.services)
            .field("layers", &self.layers)
            .field("limits", &self.limits)
            .field("max_message", &self.max_message)
            .finish_non_exhaustive()
    }
}
