use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use iip_core::server::{AdmissionStats, Load, Report, Server as Core};
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

    /// How many connections there are and were refused.
    pub fn stats(&self) -> AdmissionStats {
        self.core.stats()
    }

    /// A view of what the calls of all connections hold, which tells the present while the server serves.
    pub fn load(&self) -> Load {
        self.core.load()
    }

    /// Serves until the future is dropped.
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

    /// Serves until `signal` is ready, whatever it yields, and then stops without losing a call: closes the listeners,
    /// tells clients to place their calls elsewhere, answers every request that was accepted, and closes each
    /// connection when nothing is in flight on it. Calls that still run after `grace` are answered with `UNAVAILABLE`.
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
