use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use iip_core::server::ServerHandle;
use tokio::sync::watch;

use super::message::ServingStatus;

/// What a server says of its health, and of that of its services. Cheap to clone; clones share it.
///
/// The empty name stands for the server as a whole, and is SERVING from the beginning. Other names are unknown until they
/// are set; they need not be names of services.
#[derive(Clone)]
pub struct HealthReporter {
    said: Arc<watch::Sender<Said>>,
}

/// What is said at one moment.
#[derive(Debug)]
pub(super) struct Said {
    /// By name, whether it serves.
    serving: BTreeMap<String, bool>,
    pub(super) stops: bool,
}

impl Said {
    /// `None`: there is no such name.
    pub(super) fn of(&self, service: &str) -> Option<ServingStatus> {
        let serving = *self.serving.get(service)?;
        Some(match serving && !self.stops {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        })
    }
}

impl HealthReporter {
    /// Says that the server as a whole is SERVING, and knows no other name.
    pub fn new() -> Self {
        let said = Said {
            serving: BTreeMap::from([(String::new(), true)]),
            stops: false,
        };
        Self {
            said: Arc::new(watch::Sender::new(said)),
        }
    }

    /// `service` wants calls. After [`shutdown`](Self::shutdown) NOT_SERVING is said all the same.
    pub fn set_serving(&self, service: impl Into<String>) {
        self.set(service.into(), true);
    }

    /// `service` wants no calls for now.
    pub fn set_not_serving(&self, service: impl Into<String>) {
        self.set(service.into(), false);
    }

    fn set(&self, service: String, serving: bool) {
        self.said.send_if_modified(|said| {
            let before = said.serving.insert(service, serving);
            before != Some(serving)
        });
    }

    /// Forgets `service`: it is unknown from now on.
    pub fn clear(&self, service: &str) {
        self.said
            .send_if_modified(|said| said.serving.remove(service).is_some());
    }

    /// What is said of `service` now; `None`: it is unknown.
    pub fn status(&self, service: &str) -> Option<ServingStatus> {
        self.said.borrow().of(service)
    }

    /// From now on every known name is NOT_SERVING, for good. Who watches is told, and then the stream ends, so that it
    /// does not hold up the server's end.
    pub fn shutdown(&self) {
        self.said
            .send_if_modified(|said| !std::mem::replace(&mut said.stops, true));
    }

    /// Calls [`shutdown`](Self::shutdown) as soon as the server is told to stop, so before
    /// [`pre_stop`](crate::server::ServerBuilder::pre_stop) begins: `reporter.follow(server.handle())`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: a task waits for it.
    pub fn follow(&self, handle: ServerHandle) {
        let reporter = self.clone();
        tokio::spawn(async move {
            handle.stopping().await;
            reporter.shutdown();
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Said> {
        self.said.subscribe()
    }
}

impl Default for HealthReporter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HealthReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HealthReporter")
            .field(&*self.said.borrow())
            .finish()
    }
}
