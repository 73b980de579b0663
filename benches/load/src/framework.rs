//! What a framework has to offer to be measured.

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::closed_loop::Failure;
use crate::workload::Operation;

/// A framework under load.
pub trait Framework: Send + Sync + 'static {
    /// The name in reports.
    const NAME: &'static str;

    /// One connection to a server.
    type Connection: Send + Sync + 'static;

    /// One caller of a connection.
    type Caller: Caller;

    /// Serves until the process ends. `announce` is given the address that was bound, once calls are accepted.
    fn serve(
        listen: SocketAddr,
        announce: fn(SocketAddr),
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Opens one connection, ready for calls.
    fn connect(
        address: SocketAddr,
    ) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// A caller that sends `payload` again and again. `index` counts the callers of this connection from 0.
    fn caller(
        connection: &Self::Connection,
        index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> Self::Caller;
}

/// One caller: it has at most one call at a time.
pub trait Caller: Send + 'static {
    /// Makes one call and [verifies](crate::verify) its answer.
    fn call(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
}
