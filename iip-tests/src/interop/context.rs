//! What a case is given.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use iip_rpc::{IntoRequest, Request};

use super::ledger::CALL;
use super::proto::{InteropClient, WatchReply, WatchRequest};
use super::soak_config::SoakConfig;
use super::target::Target;
use super::verdict::Failure;

/// What a case is given: a server, a client connected to it, and settings.
#[derive(Clone, Debug)]
pub struct Context<T: Target> {
    pub(super) target: T,
    pub(super) service: T::Service,
    pub(super) client: InteropClient<T::Service>,
    pub(super) soak: SoakConfig,
}

/// Numbers the named calls of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl<T: Target> Context<T> {
    /// Connects to `target`.
    ///
    /// # Errors
    ///
    /// It cannot be connected to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(target: T, soak: SoakConfig) -> Result<Self, Failure> {
        let service = target.connect().await?;
        Ok(Self {
            target,
            client: InteropClient::new(service.clone()),
            service,
            soak,
        })
    }

    /// A request that the server can be asked about, by the name that comes back with it.
    pub(super) fn named<M>(&self, request: impl IntoRequest<M>) -> (Request<M>, String) {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Other clients of the same server have other names.
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let time = time.map_or(0, |time| time.as_nanos());
        let name = format!("{}-{time}-{number}", std::process::id());
        let request = request.into_request().with_metadata(CALL, name.as_str());
        (request, name)
    }

    /// How the call of this name is doing.
    pub(super) async fn progress(&self, call: &str) -> Result<WatchReply, Failure> {
        self.watch(call, 0, false).await
    }

    /// Waits until the handler of the call of this name has received so many messages, or has ended.
    pub(super) async fn received(&self, call: &str, messages: u64) -> Result<WatchReply, Failure> {
        self.watch(call, messages, false).await
    }

    /// Waits until the call of this name has ended.
    pub(super) async fn ended(&self, call: &str) -> Result<WatchReply, Failure> {
        self.watch(call, 0, true).await
    }

    async fn watch(
        &self,
        call: &str,
        until_received: u64,
        until_ended: bool,
    ) -> Result<WatchReply, Failure> {
        let request = WatchRequest {
            call: call.to_owned(),
            until_received,
            until_ended,
        };
        Ok(self.client.watch(request).await?.into_inner())
    }
}
