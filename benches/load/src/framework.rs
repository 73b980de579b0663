//! What a framework has to offer to be measured.

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::closed_loop::Failure;
use crate::workload::Operation;

/// Where a client connects to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server's address.
    pub address: SocketAddr,
    /// Connections that the callers share; at least 1.
    pub connections: usize,
    /// As in [`Framework`].
    pub max_message: Option<usize>,
}

/// A framework under load.
///
/// `max_message` is the largest message in bytes that a side is to accept; without it, the framework's default.
pub trait Framework: Send + Sync + 'static {
    /// The name in reports.
    const NAME: &'static str;

    /// The connections of a client to a server; one, unless more were asked for.
    type Connection: Send + Sync + 'static;

    /// One caller.
    type Caller: Caller;

    /// The client's side of one server-streaming call.
    type Stream: Stream;

    /// Serves until the process ends. `announce` is given the address that was bound, once calls are accepted.
    fn serve(
        listen: SocketAddr,
        max_message: Option<usize>,
        announce: fn(SocketAddr),
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Opens the target's connections, ready for calls.
    fn connect(target: Target) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// A caller that sends `payload` again and again. `index` counts the callers from 0.
    fn caller(
        connection: &Self::Connection,
        index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> Self::Caller;

    /// Begins a call that the server answers with `count` messages, each of which has the `size` bytes of
    /// [`payload(0, size)`](crate::payload).
    fn stream(
        connection: &Self::Connection,
        size: usize,
        count: u64,
    ) -> impl Future<Output = Result<Self::Stream, Failure>> + Send;
}

/// One caller: it has at most one call at a time.
pub trait Caller: Send + 'static {
    /// Makes one call and [verifies](crate::verify) its answer.
    fn call(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The messages that a server sends in one call.
pub trait Stream: Send + 'static {
    /// Waits for the next message and [verifies](crate::verify) it; false at the end of the call.
    fn next(&mut self) -> impl Future<Output = Result<bool, Failure>> + Send;
}

/// The stream of a framework that is compared in unary calls only: [`Framework::stream`] fails with this text.
pub enum NoStream {}

impl NoStream {
    /// Why there is none.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn refuse() -> Result<Self, Failure> {
        Err("this program has no streams".into())
    }
}

impl Stream for NoStream {
    async fn next(&mut self) -> Result<bool, Failure> {
        match *self {}
    }
}
