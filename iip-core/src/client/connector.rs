use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::pool::{ConnectFailure, Pool, PoolObserver};
use crate::conn::{Connection, Observer};
use crate::session::ClientConfig;
use crate::transport::connect;

/// Makes connections until the pool has what it wants, with pauses between attempts that fail.
pub(super) async fn run(pool: Weak<Pool>) {
    let mut random = fastrand::Rng::new();
    loop {
        let Some(strong) = pool.upgrade() else {
            return;
        };
        let attempt = attempt(&strong).await;
        let pause = {
            let mut state = strong.state();
            match attempt {
                Ok(connection) => {
                    state.failure = None;
                    state.demand = false;
                    drop(state);
                    strong.add(connection);
                    state = strong.state();
                    if !strong.wants_connection(&state) {
                        state.dialing = false;
                        return;
                    }
                    None
                }
                Err(failure) => {
                    tracing::debug!(endpoint = %strong.name, %failure, "connecting failed");
                    state.failure = Some(Arc::new(failure));
                    if !strong.wants_connection(&state) {
                        state.dialing = false;
                        return;
                    }
                    Some(state.backoff.next_delay(&mut random))
                }
            }
        };
        strong.changed.notify_waiters();
        drop(strong);
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
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
