use std::sync::{Arc, Weak};

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::pool::{ConnectFailure, Pool, PoolObserver, State};
use crate::conn::{Connection, Observer};
use crate::session::ClientConfig;
use crate::transport::connect;

impl Pool {
    /// Sees to it that connections are being made.
    pub(super) fn dial(self: &Arc<Self>, state: &mut State) {
        if !state.dialing {
            state.dialing = true;
            tokio::spawn(run(Arc::downgrade(self)));
        }
    }

    /// Sees to it that connections are replaced when they are old.
    pub(super) fn watch_age(self: &Arc<Self>) {
        tokio::spawn(replace(Arc::downgrade(self), Arc::clone(&self.aging)));
    }
}

async fn replace(pool: Weak<Pool>, changed: Arc<Notify>) {
    while let Some(strong) = pool.upgrade() {
        let next = strong.replace_old();
        drop(strong);
        let changed = changed.notified();
        match next {
            Some(at) => drop(timeout_at(at.into(), changed).await),
            None => changed.await,
        }
    }
}

/// Makes connections until the pool has what it wants, with pauses after attempts that fail and after connections that
/// do not last.
async fn run(pool: Weak<Pool>) {
    let mut random = fastrand::Rng::new();
    loop {
        let Some(strong) = pool.upgrade() else {
            return;
        };
        let pause = {
            let mut state = strong.state();
            // Those who asked for it may have given up, or found a channel elsewhere.
            state.demand &= strong.is_awaited();
            if !strong.wants_connection(&state) {
                state.dialing = false;
                state.failure = None;
                return;
            }
            std::mem::take(&mut state.hold).then(|| state.backoff.next_delay(&mut random))
        };
        if let Some(pause) = pause {
            drop(strong);
            tokio::time::sleep(pause).await;
            continue;
        }
        match attempt(&strong).await {
            Ok(connection) => strong.add(connection),
            Err(failure) => {
                tracing::debug!(endpoint = %strong.name, %failure, "connecting failed");
                let mut state = strong.state();
                state.failure = Some(Arc::new(failure));
                state.hold = true;
                drop(state);
                strong.tell();
                strong.waiting.wake_all();
            }
        }
    }
}

/// Dials, and waits for the hello.
async fn attempt(pool: &Arc<Pool>) -> Result<Connection, ConnectFailure> {
    let config = &pool.config;
    let (stream, _) = connect(&config.address, config.connect_timeout, &config.tcp)
        .await
        .map_err(ConnectFailure::Dial)?;
    let session = ClientConfig {
        limits: Arc::new(config.limits.clone()),
        keep_alive: config.keep_alive.clone(),
        plain: config.plain,
    };
    let observer = Arc::new(FirstObserver {
        greeted: Notify::new(),
        pool: PoolObserver(Arc::downgrade(pool)),
    });
    let (connection, driver) = Connection::start(
        stream,
        session,
        config.write_stall,
        Arc::clone(&pool.name),
        Arc::clone(&observer) as Arc<dyn Observer>,
    );
    tokio::spawn(driver);
    loop {
        let greeted = observer.greeted.notified();
        if let Some(ended) = connection.ended() {
            let text = format!("{} did not answer the hello: {ended}", pool.name);
            return Err(ConnectFailure::Hello(text));
        }
        if connection.is_ready() {
            return Ok(connection);
        }
        greeted.await;
    }
}

/// Tells the connector about its connection's hello, and the pool about everything else.
struct FirstObserver {
    greeted: Notify,
    pool: PoolObserver,
}

impl Observer for FirstObserver {
    fn changed(&self) {
        self.greeted.notify_one();
        self.pool.changed();
    }
}
