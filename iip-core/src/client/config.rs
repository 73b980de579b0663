use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::backoff::BackoffConfig;
use crate::conn::now;
use crate::session::{KeepAlive, LONGEST, Limits};
use crate::transport::{Address, TcpOptions};

/// Collects how a [`Client`](crate::client::Client) is to behave.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    pub(super) address: Address,
    pub(super) limits: Limits,
    pub(super) keep_alive: KeepAlive,
    pub(super) tcp: TcpOptions,
    pub(super) backoff: BackoffConfig,
    pub(super) plain: bool,
    pub(super) min_connections: usize,
    pub(super) max_connections: usize,
    pub(super) max_waiting: usize,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) write_stall: Duration,
    pub(super) wait_for_ready: bool,
    pub(super) max_age: Option<Duration>,
}

impl Default for ClientBuilder {
    /// The default settings without an address that can be dialed: for many clients, such as those of a
    /// [`Balancer`](crate::balance::Balancer), each of which gets [its own](ClientBuilder::address).
    fn default() -> Self {
        Self::new(Address::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))
    }
}

impl ClientBuilder {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            limits: Limits::default(),
            keep_alive: KeepAlive::default(),
            tcp: TcpOptions::default(),
            backoff: BackoffConfig::default(),
            plain: false,
            min_connections: 1,
            max_connections: 4,
            max_waiting: 10_000,
            connect_timeout: Duration::from_secs(5),
            timeout: Some(Duration::from_secs(10)),
            write_stall: Duration::from_secs(10),
            wait_for_ready: false,
            max_age: None,
        }
    }

    /// The same settings for a client of another address.
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// What one connection may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// When to ping a native server.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Socket options of TCP connections.
    #[must_use]
    pub fn tcp(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// How long to wait between two attempts to connect.
    #[must_use]
    pub fn backoff(mut self, config: BackoffConfig) -> Self {
        self.backoff = config;
        self
    }

    /// Sends no hello: the server is known to be plain.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Connections that are kept, and made again when they are lost; default 1. 0: only when there are calls.
    #[must_use]
    pub fn min_connections(mut self, count: usize) -> Self {
        self.min_connections = count;
        self
    }

    /// Most connections; default 4, at least 1. Another one is made when every channel of those there are is in use
    /// (2,048 calls at a time on each, or 96 to a plain server); beyond the last one calls wait.
    #[must_use]
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// Calls that may wait for a free channel; default 10,000. A further one fails at once.
    #[must_use]
    pub fn max_waiting(mut self, calls: usize) -> Self {
        self.max_waiting = calls;
        self
    }

    /// How long one attempt to connect may take, name resolution included; default 5 s. The hello has 5 s more.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The deadline of calls that bring none; default 10 s, `None` for none at all.
    #[must_use]
    pub fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long the server may accept no byte of what is written to it; default 10 s. Then the connection counts as
    /// lost.
    #[must_use]
    pub fn write_stall(mut self, limit: Duration) -> Self {
        self.write_stall = limit.min(LONGEST);
        self
    }

    /// How old a connection may get, give or take a tenth, so that those of many clients do not end together; default
    /// without limit. Then another one is made in its place, which finds servers that were added behind the same name
    /// meanwhile; calls in progress on the old one go on for as long as they take.
    #[must_use]
    pub fn max_connection_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age.min(LONGEST));
        self
    }

    /// Lets calls wait for a connection until their deadline, even while the server cannot be reached. By default they
    /// fail at once when an attempt to connect has failed and none has succeeded since.
    #[must_use]
    pub fn wait_for_ready(mut self) -> Self {
        self.wait_for_ready = true;
        self
    }

    /// For an endpoint of many: a connection is kept before there are calls.
    pub(crate) fn endpoint(&self, address: &Address) -> Self {
        let settings = self.clone().address(address.clone());
        let connections = settings.min_connections.max(1);
        settings.min_connections(connections)
    }

    pub(crate) fn waits_for_ready(&self) -> bool {
        self.wait_for_ready
    }

    pub(crate) fn most_waiting(&self) -> usize {
        self.max_waiting
    }

    /// When a call that begins now and brings no deadline has to be done.
    pub(crate) fn default_deadline(&self) -> Option<Instant> {
        now().checked_add(self.timeout?)
    }
}
