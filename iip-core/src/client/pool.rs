use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{timeout, timeout_at};

use super::backoff::Backoff;
use super::config::ClientBuilder;
use super::line::{Line, Place};
use super::watcher::Watcher;
use crate::conn::{Connection, Observer, Usage, now};
use crate::error::{Error, ErrorKind, Outcome};
use crate::transport::{Address, ConnectError};

/// A client of one address: a pool of connections that are made, replaced and shared by all of its calls. Cheap to
/// clone.
///
/// When the last clone is dropped, the connections end as soon as every call has its answer.
#[derive(Clone)]
pub struct Client {
    pub(super) pool: Arc<Pool>,
}

pub(super) struct Pool {
    pub(super) config: ClientBuilder,
    pub(super) name: Arc<str>,
    /// Those on which calls may begin.
    connections: RwLock<Vec<Member>>,
    pub(super) state: Mutex<State>,
    /// Calls that wait for a connection with a free channel.
    pub(super) waiting: Line,
    /// Who else has to know when the pool gets or loses connections.
    watcher: Option<Arc<dyn Watcher>>,
    /// Told when a connection has ended.
    ended: Notify,
    /// Told when a connection was made, by which others may be old later.
    pub(super) aging: Arc<Notify>,
}

/// A connection and since when it is there.
struct Member {
    connection: Connection,
    since: Instant,
    /// When it is to be replaced.
    until: Option<Instant>,
    /// It is used until another one is there in its place.
    old: bool,
}

pub(super) struct State {
    /// A task is connecting, or waits to.
    pub(super) dialing: bool,
    /// Every channel was in use when a call came.
    pub(super) demand: bool,
    pub(super) backoff: Backoff,
    /// The connection lost last did not live long enough to show that the server works: the next attempt is to wait.
    pub(super) hold: bool,
    /// Why the last attempt failed, if none has succeeded since.
    pub(super) failure: Option<Arc<ConnectFailure>>,
    closed: bool,
    /// Connections that take no more calls, and have not ended.
    ending: Vec<Connection>,
    /// A task replaces connections that are old.
    ages: bool,
}

/// How a client, or a balancer, closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Calls that were still in progress when the grace was over, and failed.
    pub cut_calls: usize,
    /// Connections that did not end even then.
    pub cut_connections: usize,
    /// How long it took.
    pub took: Duration,
}

impl CloseReport {
    /// Whether every call had its answer and every connection ended in an orderly way.
    pub fn is_clean(&self) -> bool {
        self.cut_calls == 0 && self.cut_connections == 0
    }
}

/// How long connections may take to end once their calls were cut: as long as the rest of their output may.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectFailure {
    Dial(ConnectError),
    Hello(String),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::Hello(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConnectFailure {}

impl ClientBuilder {
    /// Connects, and makes the client. After [`wait_for_ready`](Self::wait_for_ready) it tries for as long as it takes.
    ///
    /// # Errors
    ///
    /// The first attempt to connect failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes whatever was begun.
    pub async fn connect(self) -> Result<Client, Error> {
        let client = self.connect_lazy();
        client.connected().await?;
        Ok(client)
    }

    /// Makes the client, and connects when the first call is made.
    pub fn connect_lazy(self) -> Client {
        Client::new(self, None)
    }
}

impl Client {
    /// Begins a client of `address`.
    pub fn builder(address: Address) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    /// A client that has no connection before it is used or [started](Self::start).
    pub(crate) fn new(config: ClientBuilder, watcher: Option<Arc<dyn Watcher>>) -> Self {
        let state = State {
            dialing: false,
            demand: false,
            backoff: Backoff::new(config.backoff.clone()),
            hold: false,
            failure: None,
            closed: false,
            ending: Vec::new(),
            ages: false,
        };
        let pool = Pool {
            name: config.address.to_string().into(),
            config,
            connections: RwLock::default(),
            state: Mutex::new(state),
            waiting: Line::default(),
            watcher,
            ended: Notify::new(),
            aging: Arc::default(),
        };
        Self {
            pool: Arc::new(pool),
        }
    }

    /// Where the client's calls go.
    pub fn address(&self) -> &Address {
        &self.pool.config.address
    }

    /// Connections on which calls may begin now.
    pub fn connections(&self) -> usize {
        self.pool.read().len()
    }

    /// What calls hold now of the connections on which calls may begin.
    pub fn usage(&self) -> Usage {
        let members = self.pool.read();
        let usages = members.iter().map(|member| member.connection.usage());
        usages.fold(Usage::default(), Usage::plus)
    }

    /// A connection on which a call may begin: the one with the fewest calls in flight. Waits for one to be made, or to
    /// have a free channel, until `deadline`.
    ///
    /// Another call may take the last free channel first; then the call comes back with
    /// [`CallFailure::NotStarted`](crate::conn::CallFailure::NotStarted), and this is to be called again.
    ///
    /// # Errors
    ///
    /// No connection can be made, the deadline passed, too many calls wait already, or the client was closed. Nothing
    /// was sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn ready(&self, deadline: Option<Instant>) -> Result<Connection, Error> {
        match self.try_ready() {
            Some(connection) => Ok(connection),
            None => self.pool.wait(deadline).await,
        }
    }

    /// The connection that [`ready`](Self::ready) would have at once; `None` if it would wait.
    pub fn try_ready(&self) -> Option<Connection> {
        // Nobody overtakes those who wait.
        match self.pool.is_awaited() {
            true => None,
            false => self.pool.pick(),
        }
    }

    /// Begins to connect, and goes on with it, if connections are to be kept.
    pub(crate) fn start(&self) {
        let mut state = self.pool.state();
        if self.pool.wants_connection(&state) {
            self.pool.dial(&mut state);
        }
    }

    /// Why there is no connection, if the last attempt to make one failed.
    pub(crate) fn failure(&self) -> Option<Arc<ConnectFailure>> {
        self.pool.state().failure.clone()
    }

    pub(super) async fn connected(&self) -> Result<(), Error> {
        self.pool.wait(None).await.map(drop)
    }

    /// Takes no further call. Connections end when every call has its answer.
    pub fn close(&self) {
        self.pool.close();
    }

    /// [Closes](Self::close) the client and all of its clones, and waits until every call has its answer and every
    /// connection has ended; calls that still run after `grace` fail then. A call that is made from now on fails with
    /// [`ErrorKind::Closed`] and was not sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the client closed, and its calls without a limit but their own.
    pub async fn close_within(&self, grace: Duration) -> CloseReport {
        let began = now();
        self.pool.close();
        let mut cut_calls = 0;
        if timeout(grace, self.pool.all_ended()).await.is_err() {
            cut_calls = self.pool.cut();
            let _ = timeout(LAST_WORDS, self.pool.all_ended()).await;
        }
        CloseReport {
            cut_calls,
            cut_connections: self.pool.open(),
            took: now().saturating_duration_since(began),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.pool.name)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl Pool {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Member>> {
        self.connections
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection with the fewest calls in flight that has a free channel.
    fn pick(&self) -> Option<Connection> {
        let members = self.read();
        let mut best: Option<(usize, &Member)> = None;
        for member in members.iter() {
            if let Some(load) = member.connection.load()
                && best.is_none_or(|(least, _)| load < least)
            {
                best = Some((load, member));
            }
        }
        best.map(|(_, member)| member.connection.clone())
    }

    /// Waits for a connection with a free channel, and sees to it that one is made if there may be more.
    async fn wait(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Connection, Error> {
        self.check(&self.state())?;
        let mut place = self.enter()?;
        loop {
            let turn = poll_fn(|context| place.poll_turn(context));
            match deadline {
                None => turn.await,
                Some(at) => timeout_at(at.into(), turn)
                    .await
                    .map_err(|_| self.too_late())?,
            }
            // A change from here on is another turn.
            if let Some(connection) = self.pick() {
                return Ok(connection);
            }
            self.grow()?;
        }
    }

    fn enter(&self) -> Result<Place<'_>, Error> {
        let most = self.config.max_waiting;
        self.waiting.enter(most).ok_or_else(|| {
            let text = format!(
                "{most} calls wait for a free channel to {} already (max_waiting, max_connections)",
                self.name
            );
            Error::new(ErrorKind::QueueFull, Outcome::NotSent, text)
        })
    }

    fn too_late(&self) -> Error {
        let connections = self.read().len();
        let text = if connections == 0 {
            format!(
                "the deadline passed while waiting for a connection to {} (timeout)",
                self.name
            )
        } else {
            format!(
                "the deadline passed while waiting for a free channel on {connections} connections to {} \
                 (timeout, max_connections)",
                self.name
            )
        };
        Error::new(ErrorKind::Deadline, Outcome::NotSent, text)
    }

    /// Why waiting makes no sense, if it does not.
    fn check(&self, state: &State) -> Result<(), Error> {
        if state.closed {
            let text = format!("the client of {} was closed", self.name);
            return Err(Error::new(ErrorKind::Closed, Outcome::NotSent, text));
        }
        if self.read().is_empty()
            && state.dialing
            && !self.config.wait_for_ready
            && let Some(failure) = &state.failure
        {
            return Err(Error::new(
                ErrorKind::Connect,
                Outcome::NotSent,
                // What follows, of the attempt that failed, names the address.
                "no connection",
            )
            .with_source(Arc::clone(failure)));
        }
        Ok(())
    }

    /// Asks for what is lacking: channels of the connections there are, or one more connection.
    fn grow(self: &Arc<Self>) -> Result<(), Error> {
        let mut state = self.state();
        self.check(&state)?;
        let (have, growing) = {
            let members = self.read();
            // Every one of them is asked.
            let growing = members.iter().filter(|member| member.connection.grow());
            (members.len(), growing.count() > 0)
        };
        if have < self.config.max_connections && !growing {
            state.demand = true;
            self.dial(&mut state);
        }
        Ok(())
    }

    /// Whether one more connection is to be made.
    pub(super) fn wants_connection(&self, state: &State) -> bool {
        let members = self.read();
        let old = members.iter().filter(|member| member.old).count();
        let have = members.len() - old;
        !state.closed
            && (have < self.config.min_connections
                || state.demand && have < self.config.max_connections
                || old > 0)
    }

    /// Takes a connection that was just made.
    pub(super) fn add(self: &Arc<Self>, connection: Connection) {
        {
            let mut state = self.state();
            state.failure = None;
            state.demand = false;
            if state.closed {
                connection.close();
            }
            let mut members = self
                .connections
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            // In whose place it is.
            if let Some(member) = members.iter().position(|member| member.old) {
                let old = members.swap_remove(member).connection;
                old.close();
                state.ending.push(old);
            }
            let since = now();
            members.push(Member {
                connection,
                since,
                until: self.config.max_age.map(|age| since + lifetime(age)),
                old: false,
            });
            if self.config.max_age.is_some() {
                self.aging.notify_one();
                if !std::mem::replace(&mut state.ages, true) {
                    self.watch_age();
                }
            }
        }
        // Nobody was told what happened to it before it was here.
        self.sweep();
        self.tell();
    }

    /// Tells who watches that the pool has got or lost a connection, or could not make one.
    pub(super) fn tell(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.changed();
        }
    }

    /// Whether a call waits.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.len() > 0
    }

    /// Lets go of connections that take no more calls, and sees to their replacement.
    pub(super) fn sweep(self: &Arc<Self>) {
        let mut gone = Vec::new();
        {
            let mut members = self
                .connections
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            members.retain_mut(|member| {
                let usable = member.connection.is_usable();
                if !usable {
                    gone.push((member.connection.clone(), member.since));
                }
                usable
            });
        }
        let lost = !gone.is_empty();
        let mut state = self.state();
        for (connection, since) in gone {
            connection.close();
            let life = now().saturating_duration_since(since);
            let orderly = connection.is_dismissed();
            state.hold |= !state.backoff.connection_ended(life, orderly);
            state.ending.push(connection);
        }
        state.ending.retain(|connection| !connection.is_over());
        self.ended.notify_waiters();
        if self.wants_connection(&state) && state.failure.is_none() {
            self.dial(&mut state);
        }
        drop(state);
        if lost {
            self.tell();
            self.waiting.wake_all();
        } else {
            self.waiting.wake_one();
        }
    }

    /// Replaces the connections that are old enough: each is used until another one is there, unless it has nothing to do
    /// and there are enough. When the next one will be.
    pub(super) fn replace_old(self: &Arc<Self>) -> Option<Instant> {
        let now = now();
        let mut state = self.state();
        let mut next = None;
        {
            let mut members = self
                .connections
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let mut have = members.iter().filter(|member| !member.old).count();
            for member in members.iter_mut().filter(|member| !member.old) {
                let Some(until) = member.until else { continue };
                if until > now {
                    next = Some(next.map_or(until, |next: Instant| next.min(until)));
                    continue;
                }
                have -= 1;
                if have >= self.config.min_connections && member.connection.load() == Some(0) {
                    // The next sweep lets go of it.
                    member.connection.close();
                    member.until = None;
                } else {
                    member.old = true;
                }
            }
        }
        if self.wants_connection(&state) {
            self.dial(&mut state);
        }
        next
    }

    /// Connections that have not ended.
    fn open(&self) -> usize {
        let usable = self.read().len();
        usable + self.state().ending.len()
    }

    async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Ends every connection, whatever its calls: how many of them.
    fn cut(&self) -> usize {
        let mut all = self.state().ending.clone();
        all.extend(self.read().iter().map(|member| member.connection.clone()));
        all.iter().map(Connection::cut).sum()
    }

    fn close(&self) {
        self.state().closed = true;
        for member in self.read().iter() {
            member.connection.close();
        }
        self.waiting.wake_all();
    }
}

/// How long a connection is used: a tenth more or less.
fn lifetime(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        self.aging.notify_one();
    }
}

/// Tells the pool about its connections without keeping it alive.
pub(super) struct PoolObserver(pub(super) Weak<Pool>);

impl Observer for PoolObserver {
    fn changed(&self) {
        if let Some(pool) = self.0.upgrade() {
            pool.sweep();
        }
    }
}
