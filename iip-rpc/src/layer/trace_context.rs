use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

/// Where a call stands in a distributed trace: W3C Trace Context's `traceparent`. A handler behind [`Trace`] finds it in
/// its request's extensions.
///
/// [`Trace`]: super::Trace
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContextError;

thread_local! {
    /// Of the call whose handler this thread is polling.
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

impl TraceContext {
    /// The metadata key in which it travels.
    pub const KEY: &'static str = "traceparent";

    /// Begins a trace. `sampled`: it is recorded somewhere.
    pub fn new_root(sampled: bool) -> Self {
        let trace = u128::from(random()) << 64 | u128::from(random());
        Self {
            trace,
            span: random(),
            sampled,
        }
    }

    /// A span of the same trace below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span: random(),
            ..*self
        }
    }

    /// The id of the whole trace; not 0.
    pub fn trace_id(&self) -> u128 {
        self.trace
    }

    /// The id of this span; not 0.
    pub fn span_id(&self) -> u64 {
        self.span
    }

    /// Whether the caller records the trace.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// That of the call whose handler is being polled on this thread, if it has a layer [`Trace`](super::Trace).
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }
}

/// Not 0. Ids need to be different from each other, not secret: the standard library's keyed hash gives that.
fn random() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}

/// While this guard lives, calls made on this thread belong to the trace.
pub(super) struct Current {
    outer: Option<TraceContext>,
}

impl Current {
    pub(super) fn enter(context: TraceContext) -> Self {
        Self {
            outer: CURRENT.replace(Some(context)),
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}

impl FromStr for TraceContext {
    type Err = TraceContextError;

    fn from_str(text: &str) -> Result<Self, TraceContextError> {
        parse(text).ok_or(TraceContextError)
    }
}

/// `version-trace-span-flags`, in hexadecimal digits of lower case. A later version may have more behind.
fn parse(text: &str) -> Option<TraceContext> {
    let mut fields = text.splitn(5, '-');
    let mut field = |digits| fields.next().and_then(|field| hexadecimal(field, digits));
    let version = field(2)?;
    let (trace, span, flags) = (field(32)?, field(16)?, field(2)?);
    let more = fields.next().is_some();
    if version == 0xff || version == 0 && more || trace == 0 || span == 0 {
        return None;
    }
    Some(TraceContext {
        trace,
        span: u64::try_from(span).ok()?,
        sampled: flags & 1 == 1,
    })
}

fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let valid = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(valid) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

impl fmt::Display for TraceContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a traceparent of W3C Trace Context")
    }
}

impl std::error::Error for TraceContextError {}
