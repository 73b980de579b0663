use std::fmt;

use iip_core::balance::Pick;

use crate::{Body, MetadataKey, Request};

/// What calls are hashed by, where [`ConsistentHash`](iip_core::balance::ConsistentHash) spreads them over many endpoints:
/// calls with the same key go to the same one.
pub struct HashBy(Key);

enum Key {
    Metadata(MetadataKey),
    Function(Box<Function>),
}

type Function = dyn Fn(&Request<Body>) -> Option<u64> + Send + Sync;

impl HashBy {
    /// The first value of a metadata key, such as that of a user or a session. A call without one is placed at random.
    pub fn metadata(key: MetadataKey) -> Self {
        Self(Key::Metadata(key))
    }

    /// What a function says of the request, whose method, metadata and extensions it sees; `None`: the call is placed at
    /// random. [`Pick::key_of`] makes a key of bytes on which all processes agree. The function is called once a call, and
    /// must not block.
    pub fn function(
        function: impl Fn(&Request<Body>) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        Self(Key::Function(Box::new(function)))
    }

    pub(super) fn key(&self, request: &Request<Body>) -> Option<u64> {
        match &self.0 {
            Key::Metadata(key) => {
                let value = request.metadata().get_bytes(key.as_str())?;
                Some(Pick::key_of(value))
            }
            Key::Function(function) => function(request),
        }
    }
}

impl fmt::Debug for HashBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Key::Metadata(key) => f.debug_tuple("HashBy").field(key).finish(),
            Key::Function(_) => f.write_str("HashBy(function)"),
        }
    }
}
