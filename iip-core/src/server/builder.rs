use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::admission::{Admission, ConnectionLimits};
use super::books::Books;
use super::connections::{Age, Connections};
use super::gate::Gate;
use super::handler::{Frames, Handler, RawRoute, StreamHandler, Whole};
use super::listener::Listener;
use super::meters::Meters;
use super::overload::Overload;
use super::route::{Route, Router};
use super::serve::Server;
use super::shared::ServerCore;
use super::statistics::StatisticsAccess;
use super::statistics_paths::{Source, StatisticsPath};
use crate::conn::now;
use crate::session::{LONGEST, Limits};
use crate::transport::{Address, TcpOptions};
use crate::wire::Path;

impl Server {
    /// Begins a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }
}

/// Collects what a [`Server`] is to do. Every setting has a default that suits a service inside a data centre.
pub struct ServerBuilder {
    router: Router,
    limits: Limits,
    connections: ConnectionLimits,
    tcp: TcpOptions,
    default_timeout: Option<Duration>,
    run_limit: Duration,
    write_stall: Duration,
    max_in_flight: usize,
    overload: Overload,
    receive_budget: usize,
    listeners: Vec<Listener>,
    statistics: StatisticsAccess,
    pre_stop: Duration,
    age: Option<Age>,
    inherits: bool,
    pinned: bool,
    /// The first mistake, reported when the server is made.
    mistake: Option<String>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            router: Router::default(),
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
            tcp: TcpOptions::default(),
            default_timeout: Some(Duration::from_secs(10)),
            run_limit: super::handler::RAW_RUN_LIMIT,
            write_stall: Duration::from_secs(10),
            max_in_flight: 10_000,
            overload: Overload::default(),
            receive_budget: default_receive_budget(
                std::fs::read_to_string("/proc/meminfo").ok().as_deref(),
            ),
            listeners: Vec::new(),
            statistics: StatisticsAccess::default(),
            pre_stop: Duration::ZERO,
            age: None,
            inherits: false,
            pinned: false,
            mistake: None,
        }
    }
}

impl ServerBuilder {
    /// Answers the requests of `path` with whole data.
    #[must_use]
    pub fn handler(self, path: &str, handler: impl Handler) -> Self {
        self.add(path, Arc::new(RawRoute::whole(Whole(handler))))
    }

    /// Answers the requests of `path` frame by frame.
    #[must_use]
    pub fn stream_handler(self, path: &str, handler: impl StreamHandler) -> Self {
        self.add(path, Arc::new(RawRoute::frames(Frames(handler))))
    }

    /// Answers the requests of every path that nothing else answers. Without it they get
    /// `{"code":102,"message":"handle error"}`.
    #[must_use]
    pub fn fallback(mut self, handler: impl Handler) -> Self {
        self.router
            .set_fallback(Arc::new(RawRoute::whole(Whole(handler))));
        self
    }

    /// Adds a route of any kind.
    #[must_use]
    pub fn route(self, path: &Path, route: Arc<dyn Route>) -> Self {
        self.add(path.as_str(), route)
    }

    fn add(mut self, path: &str, route: Arc<dyn Route>) -> Self {
        let mistake = match Path::new(path) {
            Err(error) => Some(format!("the path {path:?} cannot have a handler: {error}")),
            Ok(path) if path.query().is_some() => Some(format!(
                "the path {:?} cannot have a handler: leave the query out, handlers read it from the request",
                path.as_str()
            )),
            Ok(path) if is_protocol_path(path.path()) => Some(format!(
                "the path {:?} belongs to the protocol",
                path.as_str()
            )),
            Ok(path) if !self.router.add(&path, route) => Some(format!(
                "the path {:?} has a handler already",
                path.as_str()
            )),
            Ok(_) => None,
        };
        self.mistake = self.mistake.or(mistake);
        self
    }

    /// What one connection may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many connections there may be, and from where.
    #[must_use]
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// Socket options of TCP connections.
    #[must_use]
    pub fn tcp(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// The deadline of native calls that bring none, announced to clients; default 10 s, `None` for no limit. A call
    /// without any deadline is still bounded by [`run_limit`](Self::run_limit).
    #[must_use]
    pub fn default_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.default_timeout = timeout;
        self
    }

    /// How long a native call without a deadline may run; default 60 s. Streams of messages, which their clients can
    /// cancel, are not limited, and neither are calls of plain clients, which cannot say that they gave up.
    #[must_use]
    pub fn run_limit(mut self, limit: Duration) -> Self {
        self.run_limit = limit.min(LONGEST);
        self
    }

    /// How long a peer may accept no byte of what is written to it; default 10 s. Then the connection is closed.
    #[must_use]
    pub fn write_stall(mut self, limit: Duration) -> Self {
        self.write_stall = limit.min(LONGEST);
        self
    }

    /// Calls in progress over all connections, those that are answered at once not counted; default 10,000. Beyond it
    /// native calls are refused with code 109 before anything is decoded, sheddable ones ([`Criticality`](super::Criticality))
    /// beyond three quarters of it.
    #[must_use]
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.max_in_flight = calls;
        self
    }

    /// What becomes of calls that cannot be taken at once: limits of a connection, a limit that follows what the server can
    /// do, calls that wait. Default: none wait, and no limit moves.
    #[must_use]
    pub fn overload(mut self, settings: Overload) -> Self {
        self.overload = settings;
        self
    }

    /// Bytes that all connections together may hold in unfinished and queued messages; default a quarter of the memory,
    /// at most 1 GiB. Beyond it messages of several frames are refused with code 109.
    #[must_use]
    pub fn receive_budget(mut self, bytes: usize) -> Self {
        self.receive_budget = bytes;
        self
    }

    /// Whose requests for the statistics paths (`docs/statistics.md`) are answered; default
    /// [`StatisticsAccess::local`]. Everybody else gets what an unknown path gets.
    #[must_use]
    pub fn statistics(mut self, access: StatisticsAccess) -> Self {
        self.statistics = access;
        self
    }

    /// How long the server goes on as before when it is told to stop, but for [`ServerHandle::is_ready`], which health
    /// checks tell; default 0, at most a day. About 5 s where a load balancer needs that long to notice. The grace begins
    /// after it.
    ///
    /// [`ServerHandle::is_ready`]: super::ServerHandle::is_ready
    #[must_use]
    pub fn pre_stop(mut self, time: Duration) -> Self {
        self.pre_stop = time.min(LONGEST);
        self
    }

    /// How old a connection may get, give or take a tenth, so that those made together do not end together; default
    /// without limit. Then it is ended as when the server stops: its client makes its calls on another connection, which
    /// may lead to another server of the same name, and calls in progress go on for `grace`. What such a call costs is one
    /// connection more in each such time.
    #[must_use]
    pub fn max_connection_age(mut self, age: Duration, grace: Duration) -> Self {
        self.age = Some(Age {
            most: age.min(LONGEST),
            grace: grace.min(LONGEST),
        });
        self
    }

    /// Not API: polls every handler in place first, however long that takes. For measurements under tools that make all
    /// of it slow, which otherwise measure tasks.
    #[doc(hidden)]
    #[must_use]
    pub fn pin_in_place(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// Also serves a listener of the user's own. May be given several times.
    #[must_use]
    pub fn listener(mut self, listener: impl Into<Listener>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Serves the listeners that a service manager has passed to the process, see [`Listener::inherited`]. Where it has
    /// passed some, [`bind`](Self::bind) does not listen on its address; where it has not, because the program was started
    /// by hand, `bind` does.
    #[cfg(feature = "inherited")]
    #[must_use]
    pub fn inherited(mut self) -> Self {
        self.inherits = true;
        self
    }

    /// Takes the listeners that were passed, if they are wanted. The error if there are none.
    fn inherit(&mut self) -> io::Result<Option<io::Error>> {
        if !std::mem::take(&mut self.inherits) {
            return Ok(None);
        }
        #[cfg(feature = "inherited")]
        match Listener::inherited(&self.tcp) {
            Ok(listeners) => self.listeners.extend(listeners),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Also listens on `address` (`127.0.0.1:9090`, `unix:///run/x.sock`, …) and makes the server.
    ///
    /// # Errors
    ///
    /// The address is none or cannot be listened on; a path is not one or has two handlers; an inherited descriptor is no
    /// listener.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes whatever was begun.
    pub async fn bind(mut self, address: &str) -> io::Result<Server> {
        let address: Address = address
            .parse()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        if !self.inherits || self.inherit()?.is_some() {
            let listener = Listener::bind(&address, &self.tcp).await?;
            self.listeners.push(listener);
        }
        self.build()
    }

    /// Makes the server with the listeners given so far.
    ///
    /// # Errors
    ///
    /// There is no listener; a path is not one or has two handlers.
    pub fn build(mut self) -> io::Result<Server> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if let Some(mistake) = self.mistake {
            return Err(invalid(mistake));
        }
        let none = self.inherit()?;
        if self.listeners.is_empty() {
            let text = "a server needs an address (bind) or a listener (listener)";
            let why = none.map_or_else(String::new, |error| format!("; {error}"));
            return Err(invalid(format!("{text}{why}")));
        }
        if self.pinned {
            self.router.pin_in_place();
        }
        let source = Arc::new(Source::new());
        self.router.begin_statistics();
        for (path, handler) in StatisticsPath::all(&source) {
            let path = Path::new(path).unwrap_or(Path::ROOT);
            self.router
                .add(&path, Arc::new(RawRoute::whole(Whole(handler))));
        }
        let meters = Meters::new(self.router.paths());
        let core = ServerCore {
            router: Arc::new(self.router),
            default_timeout: self.default_timeout,
            run_limit: self.run_limit,
            write_stall: self.write_stall,
            gate: Gate::new(self.max_in_flight, &self.overload, now()),
            receive_budget: self.receive_budget,
            held: AtomicUsize::new(0),
            max_abandoned: self.limits.max_abandoned,
            max_unread: self.limits.max_message,
            cut_calls: AtomicUsize::new(0),
            cut_streams: AtomicUsize::new(0),
            books: Books::new(now(), meters),
        };
        let access = self.statistics;
        let connections = Arc::new(Connections::new(
            Arc::new(core),
            Arc::new(self.limits),
            Admission::new(self.connections),
            Box::new(move |peer| access.allows(peer)),
            self.age,
        ));
        let _ = source.connections.set(Arc::downgrade(&connections));
        Ok(Server::new(self.listeners, connections, self.pre_stop))
    }
}

/// A quarter of the memory in the kernel's table, at most 1 GiB; 256 MiB where it cannot be read.
pub(super) fn default_receive_budget(meminfo: Option<&str>) -> usize {
    let kilobytes = meminfo
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("MemTotal:")))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<usize>().ok());
    match kilobytes {
        Some(kilobytes) => (kilobytes / 4).saturating_mul(1024).min(1 << 30),
        None => 256 << 20,
    }
}

/// Paths that are not the user's.
fn is_protocol_path(path: &str) -> bool {
    matches!(
        path,
        "/sys/hello" | "/sys/new_channel" | "/sys/delete_channel" | "/sys/events"
    ) || StatisticsPath::is(path)
}
