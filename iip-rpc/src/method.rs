use std::fmt;

use iip_core::wire::Path;

use crate::Status;

/// What is known of a method when it is compiled.
pub struct MethodDescriptor {
    path: Path,
    text: &'static str,
    kind: MethodKind,
    idempotency: Idempotency,
    request_limit: Option<usize>,
    response_limit: Option<usize>,
}

/// How many messages each side of a call sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MethodKind {
    /// One request, one response.
    Unary,
    /// One request, any number of responses.
    ServerStreaming,
    /// Any number of requests, one response.
    ClientStreaming,
    /// Any number of both.
    Bidirectional,
}

/// What it means to run a method twice, from the option `idempotency_level` of the .proto file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idempotency {
    /// Nothing is promised: it is never run twice for one call.
    #[default]
    Unknown,
    /// It changes nothing.
    NoSideEffects,
    /// Running it twice is the same as running it once.
    Idempotent,
}

/// How large messages of one direction of a method may be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Largest {
    bytes: Option<usize>,
    method: &'static str,
    setting: &'static str,
}

impl Largest {
    /// The largest message where the receiver accepts none beyond `max_message`.
    pub(crate) fn within(&self, max_message: usize) -> usize {
        self.bytes
            .map_or(max_message, |bytes| bytes.min(max_message))
    }

    /// Refuses a message that is larger. Its length is asked for only if there is a limit.
    pub(crate) fn check(&self, len: impl FnOnce() -> usize) -> Result<(), Status> {
        let Some(largest) = self.bytes else {
            return Ok(());
        };
        let len = len();
        if len <= largest {
            return Ok(());
        }
        let (method, setting) = (self.method, self.setting);
        Err(Status::resource_exhausted(format!(
            "the message has {len} bytes and {method} allows {largest} (setting of the generator: {setting})"
        )))
    }
}

impl MethodDescriptor {
    /// Describes the method at `path`, which is `/package.Service/Method`.
    ///
    /// # Panics
    ///
    /// The path is not canonical. In a `static` that is an error of the build.
    pub const fn new(path: &'static str, kind: MethodKind, idempotency: Idempotency) -> Self {
        Self {
            path: Path::from_static(path),
            text: path,
            kind,
            idempotency,
            request_limit: None,
            response_limit: None,
        }
    }

    /// Sets the largest message of a request, bytes, encoded and before compression. Default: none beside the server's
    /// `max_message`, which this does not raise. The client does not send a larger one. The server refuses it as soon as
    /// it knows, with RESOURCE_EXHAUSTED, *not processed*: it sets no more aside for a message than this, and 64 KiB for
    /// what is around it, and does not decompress it further.
    #[must_use]
    pub const fn max_request(mut self, bytes: usize) -> Self {
        self.request_limit = Some(bytes);
        self
    }

    /// Sets the largest message of a response, bytes, encoded and before compression. Default: none beside the
    /// channel's `max_message`, which this does not raise. The server does not send a larger one. The client does not
    /// decompress one further, but sets aside for it what the channel's `max_message` allows.
    #[must_use]
    pub const fn max_response(mut self, bytes: usize) -> Self {
        self.response_limit = Some(bytes);
        self
    }

    /// The path: `/package.Service/Method`.
    pub const fn path(&self) -> &'static str {
        self.text
    }

    /// How many messages each side sends.
    pub const fn kind(&self) -> MethodKind {
        self.kind
    }

    /// What it means to run the method twice.
    pub const fn idempotency(&self) -> Idempotency {
        self.idempotency
    }

    /// The largest message of a request, bytes, as [`max_request`](Self::max_request) has set it.
    pub const fn request_limit(&self) -> Option<usize> {
        self.request_limit
    }

    /// The largest message of a response, bytes, as [`max_response`](Self::max_response) has set it.
    pub const fn response_limit(&self) -> Option<usize> {
        self.response_limit
    }

    /// The service's full name: `package.Service`.
    pub fn service(&self) -> &'static str {
        self.split().0
    }

    /// The method's name: `Method`.
    pub fn name(&self) -> &'static str {
        self.split().1
    }

    /// How large messages of requests may be.
    pub(crate) const fn requests(&self) -> Largest {
        Largest {
            bytes: self.request_limit,
            method: self.text,
            setting: "max_request",
        }
    }

    /// How large messages of responses may be.
    pub(crate) const fn responses(&self) -> Largest {
        Largest {
            bytes: self.response_limit,
            method: self.text,
            setting: "max_response",
        }
    }

    /// The path in the form the connection takes.
    pub(crate) const fn wire_path(&self) -> &Path {
        &self.path
    }

    fn split(&self) -> (&'static str, &'static str) {
        let text = self.text.strip_prefix('/').unwrap_or(self.text);
        text.rsplit_once('/').unwrap_or(("", text))
    }
}

impl fmt::Debug for MethodDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MethodDescriptor")
            .field("path", &self.text)
            .field("kind", &self.kind)
            .field("idempotency", &self.idempotency)
            .field("request_limit", &self.request_limit)
            .field("response_limit", &self.response_limit)
            .finish()
    }
}
