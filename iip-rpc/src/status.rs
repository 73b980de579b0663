use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::details::Details;
use crate::{Code, Metadata, MetadataError, MetadataKey, MetadataValue, Outcome};

/// What most functions of this crate return.
pub type Result<T, E = Status> = std::result::Result<T, E>;

/// Key of the metadata in which a server says when a failed call may be made again (`docs/protocol.md`, section 7.6).
const PUSHBACK: MetadataKey = MetadataKey::from_static("iip-retry-pushback-ms");

/// Why a call failed: what a handler returns, and what a caller gets.
///
/// One word by value. Besides the code and a message for people it may carry details (bytes of the application's own),
/// metadata, and on the caller's side what is known about the failure: whether the call may have run
/// ([`outcome`](Self::outcome)), in which phase it failed, and towards which endpoint. Message, details and metadata
/// travel to the caller; the rest does not.
#[derive(Clone)]
pub struct Status {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    code: Code,
    outcome: Option<Outcome>,
    message: Cow<'static, str>,
    details: Details,
    metadata: Metadata,
    source: Option<Arc<dyn Error + Send + Sync>>,
    phase: Option<&'static str>,
    endpoint: Option<Arc<str>>,
    attempts: Option<Arc<Attempts>>,
}

/// What is known of the attempts of a call, of which this is the last one's failure.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// How many there were.
    pub(crate) made: u32,
    /// How many there may be, where that is bounded.
    pub(crate) most: Option<u32>,
    /// What else forbade a further one.
    pub(crate) stopped: Option<&'static str>,
    /// The failures before this one, oldest first; not all of many.
    pub(crate) earlier: Vec<Status>,
}

/// When a server wants a failed call to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushback {
    /// After this time.
    After(Duration),
    /// Not at all.
    Never,
}

impl Status {
    /// A status with this code and message, and no outcome.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            inner: Box::new(Inner {
                code,
                outcome: None,
                message: message.into(),
                details: Details::default(),
                metadata: Metadata::new(),
                source: None,
                phase: None,
                endpoint: None,
                attempts: None,
            }),
        }
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// The message, for people.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What travels with the status for programs; empty when there is nothing.
    pub fn details(&self) -> &Details {
        &self.inner.details
    }

    /// What travels beside the status.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// What travels beside the status, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.inner.metadata
    }

    /// Whether the call may have run. `None`: this is what the method itself answered, or an application made it.
    pub fn outcome(&self) -> Option<Outcome> {
        self.inner.outcome
    }

    /// The phase in which the call failed, for example `connect`; `None` when the server answered.
    pub fn phase(&self) -> Option<&str> {
        self.inner.phase
    }

    /// The endpoint towards which the call failed.
    pub fn endpoint(&self) -> Option<&str> {
        self.inner.endpoint.as_deref()
    }

    /// How many attempts of the call were made; 1 unless it was made again. This is the failure of the last one.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts.as_ref().map_or(1, |all| all.made)
    }

    /// The failures of the attempts before this one, oldest first. Of many, the first and the last ones are kept, 8 in all.
    pub fn earlier_attempts(&self) -> &[Self] {
        let attempts = self.inner.attempts.as_ref();
        attempts.map_or(&[], |all| &all.earlier)
    }

    /// Sets the details: bytes of the application's own. What exceeds 8 KiB is not sent at all.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Bytes>) -> Self {
        self.inner.details = Details::from(details.into());
        self
    }

    /// Adds a standard detail to those there are, or any other message that has a name. Details that were set as bytes
    /// of another kind are replaced. All together may have 8 KiB when they travel: what exceeds it is not sent at all.
    #[cfg(feature = "details")]
    #[must_use]
    pub fn with_detail(mut self, detail: &impl crate::details::Detail) -> Self {
        self.inner.details = self
            .inner
            .details
            .with(self.inner.code, &self.inner.message, detail);
        self
    }

    /// Sets the only value of a metadata key. A key or value that is not valid, or passes a limit of [`Metadata`], is
    /// left out, since the status says more than what travels beside it; to see the error, use
    /// [`metadata_mut`](Self::metadata_mut).
    #[must_use]
    pub fn with_metadata<K, V>(mut self, key: K, value: V) -> Self
    where
        K: TryInto<MetadataKey>,
        V: TryInto<MetadataValue>,
        MetadataError: From<K::Error> + From<V::Error>,
    {
        if let Err(error) = self.inner.metadata.insert(key, value) {
            tracing::debug!(%error, "metadata of a status is left out");
        }
        self
    }

    /// In a handler: asks the caller not to make the call again before this much time, whole milliseconds, instead of
    /// after a time of its own. It does not make a failure one after which calls are made again (`docs/retries.md`). It
    /// travels as metadata; the last of this and [`with_no_retry`](Self::with_no_retry) counts.
    #[must_use]
    pub fn with_retry_after(self, delay: Duration) -> Self {
        self.with_metadata(PUSHBACK, delay.as_millis().to_string())
    }

    /// In a handler: asks the caller not to make the call again. It travels as metadata.
    #[must_use]
    pub fn with_no_retry(self) -> Self {
        self.with_metadata(PUSHBACK, "-1")
    }

    /// When the server wants the call to be made again, if it said so. What is no time says: not at all.
    pub(crate) fn pushback(&self) -> Option<Pushback> {
        let value = self.inner.metadata.get_value(PUSHBACK.as_str())?;
        let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let milliseconds = value
            .as_str()
            .filter(digits)
            .and_then(|text| text.parse().ok());
        Some(milliseconds.map_or(Pushback::Never, |time| {
            Pushback::After(Duration::from_millis(time))
        }))
    }

    #[must_use]
    pub(crate) fn with_attempts(mut self, attempts: Attempts) -> Self {
        self.inner.attempts = Some(Arc::new(attempts));
        self
    }

    /// Sets the error that caused this one. It stays in this process.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Arc<dyn Error + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Sets whether the call may have run. It stays in this process: what a handler returns did run.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.inner.outcome = Some(outcome);
        self
    }

    /// Forgets whether the call may have run: it did.
    #[must_use]
    pub(crate) fn without_outcome(mut self) -> Self {
        self.inner.outcome = None;
        self
    }

    /// Sets the phase in which the call failed. It stays in this process.
    #[must_use]
    pub fn with_phase(mut self, phase: &'static str) -> Self {
        self.inner.phase = Some(phase);
        self
    }

    /// Sets the endpoint towards which the call failed. It stays in this process.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<Arc<str>>) -> Self {
        self.inner.endpoint = Some(endpoint.into());
        self
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident: $code:ident;)*) => {
        impl Status {
            $($(#[$doc])* pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                Self::new(Code::$code, message)
            })*
        }
    };
}

constructors! {
    /// The call was cancelled.
    cancelled: Cancelled;
    /// An error that fits no other code.
    unknown: Unknown;
    /// The caller sent something that is wrong whatever the state of the system.
    invalid_argument: InvalidArgument;
    /// The deadline passed before the call ended.
    deadline_exceeded: DeadlineExceeded;
    /// What was asked for does not exist.
    not_found: NotFound;
    /// What was to be created exists already.
    already_exists: AlreadyExists;
    /// The caller is known and is not allowed to do this.
    permission_denied: PermissionDenied;
    /// A quota, a limit or a capacity is used up.
    resource_exhausted: ResourceExhausted;
    /// The system is not in the state the call needs.
    failed_precondition: FailedPrecondition;
    /// The call lost against a concurrent one.
    aborted: Aborted;
    /// The call went past the valid range.
    out_of_range: OutOfRange;
    /// The server does not know or support this method.
    unimplemented: Unimplemented;
    /// Something that must hold does not: a defect.
    internal: Internal;
    /// The service cannot be reached, or not now.
    unavailable: Unavailable;
    /// Data is lost or damaged and does not come back.
    data_loss: DataLoss;
    /// The caller did not prove who it is.
    unauthenticated: Unauthenticated;
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        write!(f, "{}", inner.code)?;
        if !inner.message.is_empty() {
            f.write_str(": ")?;
            write_on_one_line(f, &inner.message)?;
        }
        let mut separator = " (";
        if let Some(phase) = inner.phase {
            write!(f, "{separator}phase: {phase}")?;
            separator = ", ";
        }
        if let Some(endpoint) = &inner.endpoint
            && !names(&inner.message, endpoint)
        {
            write!(f, "{separator}endpoint: {endpoint}")?;
            separator = ", ";
        }
        if let Some(outcome) = inner.outcome {
            let text = match outcome {
                Outcome::NotSent => "not sent",
                Outcome::NotProcessed => "not processed",
                _ => "unknown",
            };
            write!(f, "{separator}outcome: {text}")?;
            separator = ", ";
        }
        let Some(attempts) = &inner.attempts else {
            return f.write_str(if separator == ", " { ")" } else { "" });
        };
        write!(f, "{separator}attempt: {}", attempts.made)?;
        if let Some(most) = attempts.most {
            write!(f, " of {most}")?;
        }
        if let Some(stopped) = attempts.stopped {
            write!(f, ", no more: {stopped}")?;
        }
        f.write_str(")")?;
        for earlier in &attempts.earlier {
            write!(f, "; before: {earlier}")?;
        }
        Ok(())
    }
}

/// Whether the text has the endpoint in it already, and not only one whose port or path begins like this one's.
fn names(text: &str, endpoint: &str) -> bool {
    let goes_on = |rest: &str| {
        rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '/' | '-' | '_'))
    };
    text.match_indices(endpoint).any(|(at, found)| {
        let rest = text.get(at + found.len()..);
        !endpoint.is_empty() && !rest.is_some_and(goes_on)
    })
}

/// What a peer wrote must not begin a line of its own in a log.
fn write_on_one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for piece in text.split_inclusive(char::is_control) {
        let plain = piece.trim_end_matches(char::is_control);
        f.write_str(plain)?;
        for control in piece.chars().skip(plain.chars().count()) {
            write!(f, "{}", control.escape_default())?;
        }
    }
    Ok(())
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        let mut out = f.debug_struct("Status");
        out.field("code", &inner.code)
            .field("message", &inner.message);
        if !inner.details.is_empty() {
            out.field("details", inner.details.as_bytes());
        }
        if !inner.metadata.is_empty() {
            out.field("metadata", &inner.metadata);
        }
        if let Some(phase) = inner.phase {
            out.field("phase", &phase);
        }
        if let Some(endpoint) = &inner.endpoint {
            out.field("endpoint", endpoint);
        }
        if let Some(outcome) = inner.outcome {
            out.field("outcome", &outcome);
        }
        if let Some(attempts) = &inner.attempts {
            out.field("attempts", attempts);
        }
        if let Some(source) = &inner.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl Error for Status {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

impl From<Code> for Status {
    fn from(code: Code) -> Self {
        Self::new(code, "")
    }
}

impl From<MetadataError> for Status {
    fn from(error: MetadataError) -> Self {
        Self::invalid_argument(error.to_string()).with_source(Arc::new(error) as Arc<_>)
    }
}

impl From<prost::DecodeError> for Status {
    fn from(error: prost::DecodeError) -> Self {
        Self::invalid_argument(format!("the message cannot be decoded: {error}"))
            .with_source(Arc::new(error) as Arc<_>)
    }
}

impl From<std::io::Error> for Status {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::PermissionDenied => Code::PermissionDenied,
            ErrorKind::AlreadyExists => Code::AlreadyExists,
            ErrorKind::InvalidInput => Code::InvalidArgument,
            ErrorKind::TimedOut => Code::DeadlineExceeded,
            ErrorKind::Interrupted => Code::Aborted,
            ErrorKind::UnexpectedEof => Code::OutOfRange,
            ErrorKind::OutOfMemory | ErrorKind::StorageFull => Code::ResourceExhausted,
            ErrorKind::BrokenPipe
            | ErrorKind::WouldBlock
            | ErrorKind::AddrInUse
            | ErrorKind::AddrNotAvailable
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected => Code::Unavailable,
            _ => Code::Unknown,
        };
        Self::new(code, error.to_string()).with_source(Arc::new(error) as Arc<_>)
    }
}

impl From<tokio::time::error::Elapsed> for Status {
    fn from(error: tokio::time::error::Elapsed) -> Self {
        Self::deadline_exceeded(error.to_string()).with_source(Arc::new(error) as Arc<_>)
    }
}

impl From<Box<dyn Error + Send + Sync>> for Status {
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        match error.downcast::<Self>() {
            Ok(status) => *status,
            Err(error) => Self::unknown(error.to_string()).with_source(error),
        }
    }
}
