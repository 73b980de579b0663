use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use iip_core::server::{Incoming, Route};

use crate::compression::Packing;
use crate::{Body, MethodDescriptor, Request, Response, Status};

/// What a method gives, one message or a stream.
pub(crate) type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send + 'a>>;

/// What a server says about the messages of all its methods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    /// Largest message of a native client, bytes. The session's bound leaves room for the records around it.
    pub(crate) max: usize,
    /// How responses are compressed, for clients that read it.
    pub(crate) compress: Option<Packing>,
}

impl Messages {
    /// How the response to `incoming` is compressed.
    pub(crate) fn answer(self, incoming: &Incoming) -> Option<Packing> {
        self.compress
            .filter(|packing| packing.is_among(incoming.encodings()))
    }
}

/// A method of any kind and types.
pub(crate) trait Method: Send + Sync + 'static {
    fn descriptor(&self) -> &'static MethodDescriptor;

    /// Runs the handler on encoded messages.
    fn call(&self, request: Request<Body>) -> Answer<'_>;

    /// The same method for the connections of a server.
    fn route(self: Arc<Self>, messages: Messages) -> Arc<dyn Route>;
}
