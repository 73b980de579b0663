use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use iip_core::server::Route;

use crate::{Body, MethodDescriptor, Request, Response, Status};

/// What a method gives, one message or a stream.
pub(crate) type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send + 'a>>;

/// A method of any kind and types.
pub(crate) trait Method: Send + Sync + 'static {
    fn descriptor(&self) -> &'static MethodDescriptor;

    /// Runs the handler on encoded messages.
    fn call(&self, request: Request<Body>) -> Answer<'_>;

    /// The same method for the connections of a server that accepts messages of at most `max_message` bytes.
    fn route(self: Arc<Self>, max_message: usize) -> Arc<dyn Route>;
}
