use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use iip_core::server::{Report, Server as Core, ServerHandle, Statistics};
use iip_core::transport::Address;

/// A server that is bound and not yet serving: its address is known, and clients that connect wait for it.
pub struct Server {
    core: Core,
    local: Address,
}

impl Server {
    pub(super) fn new(core: Core) -> Self {
        let unnamed = || Address::memory("unnamed").ok();
        // `unnamed` is a valid name, and 0.0.0.0:0 stands for nothing that is listened on.
        let nowhere = || Address::from(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        let local = core.local_addr().cloned().or_else(unnamed);
        Self {
            local: local.unwrap_or_else(nowhere),
            core,
        }
    }

    /// The address that [`bind`](crate::server::ServerBuilder::bind) listens on, with the port that the system chose where it was 0:
    /// what a client connects to. Of several listeners, the one added last; `memory://unnamed` for a Unix socket of the
    /// user's own that has no path.
    pub fn local_addr(&self) -> &Address {
        &self.local
    }

    /// The addresses of all listeners that have one.
    pub fn local_addrs(&self) -> impl Iterator<Item = &Address> {
        self.core.local_addrs()
    }

    /// A view of what the server does and did, which tells the present also while it serves, and afterwards.
    pub fn statistics(&self) -> Statistics {
        self.core.statistics()
    }

    /// What stops the server from elsewhere, and tells whether it is ready.
    pub fn handle(&self) -> ServerHandle {
        self.core.handle()
    }

    /// Serves until the future is dropped, or the server is stopped through its [`handle`](Self::handle).
    ///
    /// # Errors
    ///
    /// None in this version: accepting connections goes on whatever happens.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listeners and every connection at once. Use
    /// [`serve_with_shutdown`](Self::serve_with_shutdown) to stop without losing a call.
    pub async fn serve(self) -> io::Result<()> {
        self.core.serve().await;
        Ok(())
    }

    /// Serves until `signal` is ready, whatever it yields, or [`handle`](Self::handle) says so, and then stops without
    /// losing a call: closes the listeners, tells clients to place their calls elsewhere, answers every request that was
    /// accepted, and closes each connection when nothing is in flight on it. 2 s before `grace` is over, or at half of it
    /// if that is later, streams that still run are ended with `UNAVAILABLE` (`draining`), and calls at its end; requests
    /// that come later are refused, so that their callers know that they did not run. Everything is over 5 s after that.
    ///
    /// # Errors
    ///
    /// None in this version.
    ///
    /// # Cancel safety
    ///
    /// As for [`serve`](Self::serve).
    pub async fn serve_with_shutdown<F: Future>(
        self,
        signal: F,
        grace: Duration,
    ) -> io::Result<Report> {
        let signal = async {
            signal.await;
        };
        Ok(self.core.serve_with_shutdown(signal, grace).await)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local)
            .finish_non_exhaustive()
    }
}
