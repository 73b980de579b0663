use std::fmt;

use crate::session::ErrorReply;

/// Why a raw handler failed: a text for the client. Any error becomes one with `?`.
pub struct HandlerError(String);

impl HandlerError {
    /// An error with this text. It is sent to the client: name nothing internal.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reply(&self) -> ErrorReply {
        ErrorReply::new(
            ErrorReply::HANDLER_FAILED,
            format!("handler fail:{}", self.0),
        )
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandlerError").field(&self.0).finish()
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
