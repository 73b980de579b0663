use std::sync::Arc;
use std::time::Duration;

use iip_core::client::{BackoffConfig, Client, ClientBuilder};
use iip_core::session::{KeepAlive, Limits};
use iip_core::transport::{Address, AddressError, TcpOptions};

use super::Channel;
use crate::compression::{COMPRESS_FROM, Packing, supported, told};
use crate::deadline::DEFAULT_TIMEOUT;
use crate::layer::{BoxError, BoxedService, Layer, Layers, Service};
use crate::{Body, Encoding, Outcome, Request, Response, Status};

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
    client: Result<ClientBuilder, AddressError>,
    limits: Limits,
    timeout: Option<Duration>,
    max_message: usize,
    compress: Option<Encoding>,
    compress_from: usize,
    accept: Vec<Encoding>,
    layers: Layers,
}

impl Channel {
    /// Connects to `target`: an address, for example `iip://127.0.0.1:9090` or `unix:///run/app.sock`, or a builder with
    /// other settings than the default ones.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when the target is not an address, `UNAVAILABLE` when no connection can be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(target: impl Into<ChannelBuilder>) -> Result<Self, Status> {
        target.into().connect().await
    }

    /// Starts a channel to `target` with other settings.
    pub fn builder(target: impl AsRef<str>) -> ChannelBuilder {
        ChannelBuilder::new(target.as_ref())
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
        Self {
            client: target.parse::<Address>().map(Client::builder),
            limits: Limits::default(),
            timeout: Some(DEFAULT_TIMEOUT),
            max_message: 4 * 1024 * 1024,
            compress: None,
            compress_from: COMPRESS_FROM,
            accept: supported(),
            layers: Layers::default(),
        }
    }

    fn set(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = self.client.map(change);
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

    /// Connections that are kept, and made again when they are lost; default 1. 0: only when there are calls.
    pub fn min_connections(self, count: usize) -> Self {
        self.set(|client| client.min_connections(count))
    }

    /// Most connections; default 4, at least 1. Another one is made when every channel of those there are is in use;
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

    /// When to ping the server.
    pub fn keep_alive(self, keep_alive: KeepAlive) -> Self {
        self.set(|client| client.keep_alive(keep_alive))
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
    /// `INVALID_ARGUMENT` when the target is not an address, `UNAVAILABLE` when no connection can be made.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(self) -> Result<Channel, Status> {
        let (client, rest) = self.finish()?;
        Ok(rest.channel(client.connect().await?))
    }

    /// Makes a channel that connects when the first call is made, which must be inside a runtime.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` when the target is not an address.
    pub fn connect_lazy(self) -> Result<Channel, Status> {
        let (client, rest) = self.finish()?;
        Ok(rest.channel(client.connect_lazy()))
    }

    fn finish(self) -> Result<(ClientBuilder, Rest), Status> {
        let client = self.client.map_err(|error| {
            Status::invalid_argument(error.to_string())
                .with_source(Arc::new(error) as Arc<_>)
                .with_phase("connect")
                .with_outcome(Outcome::NotSent)
        })?;
        let limits = self.limits.max_message(self.max_message);
        let limits = limits.encodings(told(&self.accept));
        let rest = Rest {
            timeout: self.timeout,
            max_message: self.max_message,
            compress: Packing::set(self.compress, self.compress_from),
            layers: self.layers,
        };
        Ok((client.limits(limits), rest))
    }
}

/// What of the settings is the channel's own.
struct Rest {
    timeout: Option<Duration>,
    max_message: usize,
    compress: Option<Packing>,
    layers: Layers,
}

impl Rest {
    fn channel(self, client: Client) -> Channel {
        let endpoint = client.address().to_string().into();
        Channel::new(client, endpoint, self.timeout, self.max_message)
            .compressing(self.compress)
            .layered(self.layers)
    }
}
