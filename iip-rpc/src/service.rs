use std::future::Future;

use crate::{Body, Request, Response, Status};

/// What a generated client calls: a channel to a server, a server itself (in the same process, without a socket), or a
/// layer around either. The one bound users write when they are generic over it.
pub trait RpcService: Clone + Send + Sync + 'static {
    /// Makes one call of the method that [`Request::method`] names. Bodies are one message or a stream of messages, as
    /// the kind of the method says.
    ///
    /// For a method that streams, the response is ready when it begins: a request's stream may go on after it. Dropping
    /// a response's stream gives the call up.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up: its result is lost, and the method is told so where that is possible.
    fn call(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send;
}
