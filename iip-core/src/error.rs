use std::error::Error as StdError;
use std::fmt;

/// Whether a failed call can have run on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// No server can have executed it: it never left this side whole.
    NotSent,
    /// A server saw it and says that it did not run it.
    NotProcessed,
    /// It may have run, once.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "not sent",
            Self::NotProcessed => "not processed",
            Self::Unknown => "outcome unknown",
        })
    }
}

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection could be made.
    Connect,
    /// The connection was lost, or is closed.
    Closed,
    /// The deadline passed.
    Deadline,
    /// The server refused the request with this code of `docs/protocol.md`, section 10.
    Refused {
        /// The code.
        code: i64,
    },
    /// A message is larger than its receiver accepts.
    TooLarge,
    /// No channel became free, and too many calls wait for one already.
    QueueFull,
    /// The caller gave the call up before anything of it was sent.
    Withdrawn,
    /// The request cannot be sent: it is empty, or its path is not one.
    Invalid,
}

/// Why a call failed. What it says in words is not API; the kind and the outcome are.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, outcome: Outcome, text: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome,
            text: text.into(),
            source: None,
        }))
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What failed and why, in words, without the outcome.
    pub fn message(&self) -> String {
        match &self.0.source {
            Some(source) => format!("{}: {source}", self.0.text),
            None => self.0.text.clone(),
        }
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether the call can have run.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether the deadline passed.
    pub fn is_deadline(&self) -> bool {
        self.0.kind == ErrorKind::Deadline
    }

    /// Whether there was no connection, or it was lost.
    pub fn is_connection(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Connect | ErrorKind::Closed)
    }

    /// The server's code, if it refused the request.
    pub fn refused_code(&self) -> Option<i64> {
        match self.0.kind {
            ErrorKind::Refused { code } => Some(code),
            _ => None,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("outcome", &self.0.outcome)
            .field("text", &self.0.text)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.text, self.0.outcome)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
