//! What went wrong, in words that a build log can show.

use std::fmt;

/// What the functions of this crate return: nothing, or why the code was not generated.
///
/// A build script returns it from `main`.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why the code was not generated.
///
/// Both `Display` and `Debug` print the same readable text, one problem a line, each with file, line and
/// column where the problem has a place: a build script that returns the error from `main` shows it
/// through `Debug`.
pub struct Error {
    kind: ErrorKind,
    text: String,
}

/// The sort of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written, or was not found.
    Io,
    /// A .proto file is not valid protobuf, or an import was not found.
    Proto,
    /// A .proto file is valid and uses something that is not supported: editions.
    Unsupported,
    /// Two things of the .proto files would have the same name in Rust.
    Name,
    /// A setting of the builder is wrong or is missing.
    Config,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// The sort of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
