//! What a client of the suite calls.

use std::future::Future;
use std::sync::Arc;

use iip_rpc::{Channel, RpcService, Status};

use super::packing::{COMPRESS_FROM, ENCODING};
use super::proto::InteropServer;
use super::service::{MAX_MESSAGE, PATIENCE, TestService};

/// A server of the suite, wherever it is.
pub trait Target: Clone + Send + Sync + 'static {
    /// What clients call.
    type Service: RpcService;

    /// Connects anew.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    fn connect(&self) -> impl Future<Output = Result<Self::Service, Status>> + Send;

    /// Largest message that the server and the connections of this target accept, bytes. `None`: nothing limits them.
    fn max_message(&self) -> Option<usize>;

    /// Whether messages travel compressed on the way to this target. Without a connection nothing is compressed.
    fn compresses(&self) -> bool;
}

/// A server behind an address: TCP, Unix socket or memory.
#[derive(Clone, Debug)]
pub struct ByAddress(Arc<str>);

impl ByAddress {
    /// The server that listens on `address`, for example `iip://127.0.0.1:9090`.
    pub fn new(address: impl Into<Arc<str>>) -> Self {
        Self(address.into())
    }
}

impl Target for ByAddress {
    type Service = Channel;

    async fn connect(&self) -> Result<Channel, Status> {
        Channel::builder(&*self.0)
            .max_message(MAX_MESSAGE)
            .timeout(PATIENCE)
            .compress(ENCODING)
            .compress_from(COMPRESS_FROM)
            .connect()
            .await
    }

    fn max_message(&self) -> Option<usize> {
        Some(MAX_MESSAGE)
    }

    fn compresses(&self) -> bool {
        true
    }
}

/// The service itself, without a network.
#[derive(Clone, Debug)]
pub struct InProcess(InteropServer);

impl InProcess {
    /// A service of its own.
    pub fn new() -> Self {
        Self(InteropServer::new(TestService::default()))
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl Target for InProcess {
    type Service = InteropServer;

    async fn connect(&self) -> Result<InteropServer, Status> {
        Ok(self.0.clone())
    }

    fn max_message(&self) -> Option<usize> {
        None
    }

    fn compresses(&self) -> bool {
        false
    }
}
