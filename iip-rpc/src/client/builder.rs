use std::sync::Arc;
use std::time::Duration;

use iip_core::balance::{Balancer, BalancerBuilder, Discover, Ejection, LeastPending, Policy};
use iip_core::client::{BackoffConfig, ClientBuilder};
use iip_core::session::{KeepAlive, Limits};
use iip_core::transport::TcpOptions;

use super::breaker::CircuitBreaker;
use super::channel::Channel;
use super::hash_by::HashBy;
use super::hedge::Hedge;
use super::place::Destination;
use super::reliability::{Reliability, Settings};
use super::retry::Retry;
use super::target::{self, Target};
use super::throttle::Throttle;
use crate::compression::{COMPRESS_FROM, Packing, supported, told};
use crate::deadline::DEFAULT_TIMEOUT;
use crate::layer::{BoxError, BoxedService, Layer, Layers, Service};
use crate::{Body, Encoding, Idempotency, Outcome, Request, Response, Status};

/// Collects how a [`Channel`] is to behave; made by [`Channel::builder`]. Every setting has a default that suits a
/// service inside a data centre.
///
/// A generated client is connected with one, as with an address:
///
/// ```
/// # use std::time::Duration;
/// # use iip_rpc::{Channel, Status, client::ChannelBuilder};
/// # struct GreeterClient(Channel);
/// # impl GreeterClient {
/// #     async fn connect(target: impl Into<ChannelBuilder>) -> Result<Self, Status> {
/// #         Ok(Self(Channel::connect(target).await?))
/// #     }
/// # }
/// # async fn connect() -> Result<(), Status> {
/// let server = Channel::builder("iip://127.0.0.1:9090").timeout(Duration::from_secs(2));
/// let greeter = GreeterClient::connect(server).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct ChannelBuilder {
    target: Result<Target, BoxError>,
    /// Where it leads, for messages.
    name: String,
    /// Without the address.
    client: ClientBuilder,
    policy: Box<dyn Policy>,
    ejection: Ejection,
    locality: Option<Arc<str>>,
    hash_by: Option<HashBy>,
    limits: Limits,
    timeout: Option<Duration>,
    max_message: usize,
    compress: Option<Encoding>,
    compress_from: usize,
    accept: Vec<Encoding>,
    reliability: Settings,
    layers: Layers,
}

impl Channel {
    /// Connects to `target`: an address or more than one, as [`builder`](Self::builder) takes it, for example
    /// `iip://127.0.0.1:9090` or `unix:///run/app.sock`, or a builder with other settings than the default ones.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when the target is none, `UNAVAILABLE` when no connection can be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(target: impl Into<ChannelBuilder>) -> Result<Self, Status> {
        target.into().connect().await
    }

    /// Starts a channel to `target` with other settings.
    ///
    /// | target | means |
    /// | --- | --- |
    /// | `iip://host:port`, `unix:///run/app.sock` and whatever else is an [`Address`](iip_core::transport::Address) | one server |
    /// | `iip://a:9090#2,b:9090` | several, each with its weight after `#` (1 to 100; 1 if it has none) |
    /// | `file:///etc/app/servers` | those in a file, which is [read every second](iip_core::balance::WatchedFile) |
    /// | `dns://name:port` | all addresses of a name, asked for again when they expire; needs the feature `dns` |
    ///
    /// Several servers are balanced over: a connection is kept to each, and calls go to those that have one.
    pub fn builder(target: impl AsRef<str>) -> ChannelBuilder {
        ChannelBuilder::new(target.as_ref())
    }

    /// Starts a channel to the servers that `discover` finds; `name` is what they are called in messages.
    pub fn builder_with(name: impl Into<String>, discover: impl Discover) -> ChannelBuilder {
        ChannelBuilder::of(name.into(), Ok(Target::Many(Box::new(discover))))
    }
}

impl<T: AsRef<str>> From<T> for ChannelBuilder {
    /// The default settings, for this address.
    fn from(target: T) -> Self {
        Self::new(target.as_ref())
    }
}

impl ChannelBuilder {
    fn new(target: &str) -> Self {
        Self::of(target.to_owned(), target::parse(target))
    }

    fn of(name: String, target: Result<Target, BoxError>) -> Self {
        Self {
            target,
            name,
            client: ClientBuilder::default(),
            policy: Box::new(LeastPending::default()),
            ejection: Ejection::default(),
            locality: None,
            hash_by: None,
            limits: Limits::default(),
            timeout: Some(DEFAULT_TIMEOUT),
            max_message: 4 * 1024 * 1024,
            compress: None,
            compress_from: COMPRESS_FROM,
            accept: supported(),
            reliability: Settings::default(),
            layers: Layers::default(),
        }
    }

    fn set(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = change(self.client);
        self
    }

    /// The deadline of calls that bring none, from their start; default 10 s. `None`: such calls wait without limit,
    /// and a call whose answer is lost waits until its connection is.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Largest message accepted from the server, bytes; default 4 MiB. A larger response fails its call with
    /// `RESOURCE_EXHAUSTED`. Costs up to this much memory for each call being answered.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Compresses the messages of requests from [`compress_from`](Self::compress_from) on, if the server said that it
    /// reads the encoding (`docs/protocol.md`, section 6.3); default not. Costs processor time for each of them. An
    /// encoding whose feature is not compiled in changes nothing. A request, or a message of a stream, may choose
    /// otherwise with [`Compression`](crate::Compression).
    pub fn compress(mut self, encoding: Encoding) -> Self {
        self.compress = Some(encoding);
        self
    }

    /// Shortest message that is compressed, bytes; default 1,024. 0: every message that gets smaller by it.
    /// `usize::MAX`: only those that ask for it, with
    /// [`Request::with_compression`](crate::Request::with_compression) or
    /// [`Sender::set_compression`](crate::Sender::set_compression). Without [`compress`](Self::compress) it changes nothing.
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.compress_from = bytes;
        self
    }

    /// Encodings that responses may be compressed with; default all whose features are compiled in. A decompressed
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

    /// How calls are spread over several servers; default [`LeastPending`]. To one address it changes nothing.
    pub fn balance(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// When one of several servers gets no more calls because they fail there, and how it comes back; default as
    /// [`Ejection`] says. Failures are calls that end as `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNKNOWN` or
    /// `DATA_LOSS`, unless the server says that it did not run them.
    pub fn outlier_ejection(mut self, ejection: Ejection) -> Self {
        self.ejection = ejection;
        self
    }

    /// Where this client is, such as the name of its zone; default nowhere. While half of the servers with the same
    /// locality can take calls, all calls go to those; otherwise, to all servers.
    pub fn locality(mut self, locality: impl Into<Arc<str>>) -> Self {
        self.locality = Some(locality.into());
        self
    }

    /// What calls are hashed by under [`ConsistentHash`](iip_core::balance::ConsistentHash); default nothing.
    pub fn hash_by(mut self, hash_by: HashBy) -> Self {
        self.hash_by = Some(hash_by);
        self
    }

    /// Connections that are kept, to each server, and made again when they are lost; default 1. 0: only when there are calls.
    pub fn min_connections(self, count: usize) -> Self {
        self.set(|client| client.min_connections(count))
    }

    /// Most connections to a server; default 4, at least 1. Another one is made when every channel of those there are is in use;
    /// beyond the last one calls wait, with their deadlines.
    pub fn max_connections(self, count: usize) -> Self {
        self.set(|client| client.max_connections(count))
    }

    /// Calls that may wait for a connection; default 10,000. A further one fails at once with `RESOURCE_EXHAUSTED`.
    pub fn max_waiting(self, calls: usize) -> Self {
        self.set(|client| client.max_waiting(calls))
    }

    /// How long one attempt to connect may take, name resolution included; default 5 s. The hello has 5 s more.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.set(|client| client.connect_timeout(timeout))
    }

    /// Lets calls wait for a connection until their deadline, even while the server cannot be reached. By default they
    /// fail at once when an attempt to connect has failed and none has succeeded since.
    pub fn wait_for_ready(self) -> Self {
        self.set(ClientBuilder::wait_for_ready)
    }

    /// How long to wait between two attempts to connect; default 20 to 100 ms at first, growing to 1.5 s, drawn at random.
    pub fn backoff(self, backoff: BackoffConfig) -> Self {
        self.set(|client| client.backoff(backoff))
    }

    /// Which failed calls are made again, how often and how soon; default [`Retry::safe`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.reliability.retry = retry;
        self
    }

    /// Makes further attempts of calls without side effects while the first one is waited for; default not.
    pub fn hedge(mut self, hedge: Hedge) -> Self {
        self.reliability.hedge = Some(hedge);
        self
    }

    /// Says what it means to run the method at `path`, `/package.Service/Method`, twice, whatever its `.proto` file says;
    /// for one call [`Request::with_idempotency`] does.
    pub fn idempotency(mut self, path: impl Into<String>, idempotency: Idempotency) -> Self {
        let methods = &mut self.reliability.idempotency;
        let path = path.into();
        methods.retain(|(other, _)| *other != path);
        methods.push((path, idempotency));
        self
    }

    /// Refuses calls here while the servers refuse most of them; default not. Costs each call a few allocations.
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.reliability.throttle = Some(throttle);
        self
    }

    /// Bounds how many calls are in progress, wait, or are made again; default not. Costs each call a few allocations.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.reliability.breaker = Some(breaker);
        self
    }

    /// When to ping the server.
    pub fn keep_alive(self, keep_alive: KeepAlive) -> Self {
        self.set(|client| client.keep_alive(keep_alive))
    }

    /// How old a connection may get, give or take a tenth, so that those of many clients do not end together; default
    /// without limit. Then another one is made in its place; calls in progress on the old one go on for as long as they
    /// take.
    pub fn max_connection_age(self, age: Duration) -> Self {
        self.set(|client| client.max_connection_age(age))
    }

    /// Socket options of TCP connections.
    pub fn tcp(self, options: TcpOptions) -> Self {
        self.set(|client| client.tcp(options))
    }

    /// Sends no hello: the server is known to speak IIP only, like the reference. Metadata and deadlines do not travel
    /// to such a server; without this setting it is recognised by its answer to the hello.
    pub fn plain(self) -> Self {
        self.set(ClientBuilder::plain)
    }

    /// Puts a layer around the channel's calls, inside the layers added before: any layer of tower's whose service can be
    /// cloned, or one of [`layer`](crate::layer). The deadline of a call begins before its layers.
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

    /// Connects.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when the target is none, `UNAVAILABLE` when no connection can be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(self) -> Result<Channel, Status> {
        let (to, rest) = self.finish()?;
        let destination = match to {
            To::One(client) => Destination::One(client.connect().await?),
            To::Many(balancer) => Destination::Many(balancer.connect().await?),
        };
        Ok(rest.channel(destination))
    }

    /// Makes a channel that connects when the first call is made, which must be inside a runtime.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when the target is none.
    pub fn connect_lazy(self) -> Result<Channel, Status> {
        let (to, rest) = self.finish()?;
        let destination = match to {
            To::One(client) => Destination::One(client.connect_lazy()),
            To::Many(balancer) => Destination::Many(balancer.connect_lazy()),
        };
        Ok(rest.channel(destination))
    }

    fn finish(self) -> Result<(To, Rest), Status> {
        let target = self.target.map_err(|error| {
            Status::invalid_argument(error.to_string())
                .with_source(Arc::from(error))
                .with_phase("connect")
                .with_outcome(Outcome::NotSent)
        })?;
        let limits = self.limits.max_message(self.max_message);
        let client = self.client.limits(limits.encodings(told(&self.accept)));
        let (to, name) = match target {
            Target::One(address) => {
                let name = address.to_string();
                (To::One(client.address(address)), name)
            }
            Target::Many(discover) => {
                let balancer = Balancer::builder(discover)
                    .client(client)
                    .boxed_policy(self.policy)
                    .ejection(self.ejection);
                let balancer = match self.locality {
                    None => balancer,
                    Some(locality) => balancer.locality(locality),
                };
                (To::Many(balancer), self.name)
            }
        };
        let rest = Rest {
            name: name.into(),
            hash_by: self.hash_by,
            timeout: self.timeout,
            max_message: self.max_message,
            compress: Packing::set(self.compress, self.compress_from),
            reliability: Reliability::new(self.reliability),
            layers: self.layers,
        };
        Ok((to, rest))
    }
}

/// What is to be connected to.
enum To {
    One(ClientBuilder),
    Many(BalancerBuilder),
}

/// What of the settings is the channel's own.
struct Rest {
    name: Arc<str>,
    hash_by: Option<HashBy>,
    timeout: Option<Duration>,
    max_message: usize,
    compress: Option<Packing>,
    reliability: Reliability,
    layers: Layers,
}

impl Rest {
    fn channel(self, destination: Destination) -> Channel {
        Channel::new(
            destination,
            self.name,
            self.timeout,
            self.max_message,
            self.reliability,
        )
        .compressing(self.compress)
        .hashing(self.hash_by)
        .layered(self.layers)
    }
}
