use std::fmt;

use crate::{Compression, Extensions, Metadata, MetadataError, MetadataKey, MetadataValue};

/// A message on its way back to the caller, and what travels with it.
///
/// Without metadata and extensions it is the message and a few words: nothing is allocated.
#[derive(Clone)]
pub struct Response<T> {
    message: T,
    metadata: Metadata,
    trailers: Metadata,
    extensions: Extensions,
    compression: Compression,
    was_compressed: bool,
    /// The first metadata that a building call refused; the call fails with it.
    refused: Option<Box<MetadataError>>,
}

impl<T> Response<T> {
    /// A response with this message.
    pub fn new(message: T) -> Self {
        Self {
            message,
            metadata: Metadata::new(),
            trailers: Metadata::new(),
            extensions: Extensions::new(),
            compression: Compression::default(),
            was_compressed: false,
            refused: None,
        }
    }

    /// Sets the only value of a metadata key. A key or value that is not valid, or passes a limit of [`Metadata`],
    /// makes the call fail with `INTERNAL`; to see the error earlier, use
    /// [`metadata_mut`](Self::metadata_mut).
    #[must_use]
    pub fn with_metadata<K, V>(mut self, key: K, value: V) -> Self
    where
        K: TryInto<MetadataKey>,
        V: TryInto<MetadataValue>,
        MetadataError: From<K::Error> + From<V::Error>,
    {
        if let Err(error) = self.metadata.insert(key, value) {
            self.refused.get_or_insert_with(|| Box::new(error));
        }
        self
    }

    /// Sets whether the message is compressed on its way; default [`Compression::Auto`]. Messages of a stream have
    /// [`Sender::set_compression`](crate::Sender::set_compression).
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// At the caller: whether the message came compressed. Of the messages of a stream
    /// [`Streaming::was_compressed`](crate::Streaming::was_compressed) tells.
    pub fn was_compressed(&self) -> bool {
        self.was_compressed
    }

    /// The message.
    pub fn get_ref(&self) -> &T {
        &self.message
    }

    /// The message, to be changed.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message, without what travels with it.
    pub fn into_inner(self) -> T {
        self.message
    }

    /// What travels ahead of the message.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What travels ahead of the message, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// What travels after the last message.
    pub fn trailers(&self) -> &Metadata {
        &self.trailers
    }

    /// What travels after the last message, to be changed.
    pub fn trailers_mut(&mut self) -> &mut Metadata {
        &mut self.trailers
    }

    /// Values that stay in this process.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Values that stay in this process, to be changed.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// The same response with another message.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Response<U> {
        let (message, rest) = self.take();
        rest.give(f(message))
    }

    /// Takes the message out and keeps the rest.
    pub(crate) fn take(self) -> (T, Response<()>) {
        let rest = Response {
            message: (),
            metadata: self.metadata,
            trailers: self.trailers,
            extensions: self.extensions,
            compression: self.compression,
            was_compressed: self.was_compressed,
            refused: self.refused,
        };
        (self.message, rest)
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    pub(crate) fn set_was_compressed(&mut self, was_compressed: bool) {
        self.was_compressed = was_compressed;
    }

    pub(crate) fn take_refused(&mut self) -> Option<Box<MetadataError>> {
        self.refused.take()
    }

    pub(crate) fn set_metadata(&mut self, metadata: Metadata, trailers: Metadata) {
        self.metadata = metadata;
        self.trailers = trailers;
    }
}

impl<T: fmt::Debug> fmt::Debug for Response<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("message", &self.message)
            .field("metadata", &self.metadata)
            .field("trailers", &self.trailers)
            .field("extensions", &self.extensions)
            .finish()
    }
}

impl Response<()> {
    /// Puts a message in.
    pub(crate) fn give<U>(self, message: U) -> Response<U> {
        Response {
            message,
            metadata: self.metadata,
            trailers: self.trailers,
            extensions: self.extensions,
            compression: self.compression,
            was_compressed: self.was_compressed,
            refused: self.refused,
        }
    }
}

impl<T> From<T> for Response<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}
