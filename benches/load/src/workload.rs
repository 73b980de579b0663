//! What a client asks of a server.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use crate::closed_loop::Failure;

/// What the handler does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Returns the request's payload at once.
    Echo,
    /// Gives way to other tasks once, then returns the payload.
    Yield,
    /// Uses [`BURN`](crate::BURN) of CPU time, then returns the payload.
    Burn,
}

impl Operation {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Yield => "yield",
            Self::Burn => "burn",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no [`Operation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownOperation(String);

impl fmt::Display for UnknownOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown workload `{}`: use echo, yield or burn", self.0)
    }
}

impl std::error::Error for UnknownOperation {}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Echo, Self::Yield, Self::Burn]
            .into_iter()
            .find(|operation| operation.name() == text)
            .ok_or_else(|| UnknownOperation(text.to_owned()))
    }
}

/// How long a measurement takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// How long the load runs before anything is counted.
    pub warm_up: Duration,
    /// How long it is counted.
    pub counted: Duration,
}

/// One measurement that a client makes: callers of one kind, without a pause between their calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// What the handler does.
    pub operation: Operation,
    /// Callers, each with one call at a time; at least 1.
    pub callers: usize,
    /// Bytes of payload in a request and in its response.
    pub size: usize,
    /// How long it takes.
    pub times: Times,
}

/// Callers of one kind beside others: each echoes, pauses and echoes again. Written `callers:bytes:milliseconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// How many they are.
    pub callers: usize,
    /// Bytes of payload in a request and in its response.
    pub size: usize,
    /// Between the end of a call and the beginning of the next; to the millisecond.
    pub pause: Duration,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pause = self.pause.as_millis();
        write!(f, "{}:{}:{pause}", self.callers, self.size)
    }
}

/// A text that is not `callers:bytes:milliseconds`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableCrowd(String);

impl fmt::Display for UnreadableCrowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not callers:bytes:milliseconds", self.0)
    }
}

impl std::error::Error for UnreadableCrowd {}

impl FromStr for Crowd {
    type Err = UnreadableCrowd;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split(':');
            let crowd = Self {
                callers: parts.next()?.parse().ok()?,
                size: parts.next()?.parse().ok()?,
                pause: Duration::from_millis(parts.next()?.parse().ok()?),
            };
            parts.next().is_none().then_some(crowd)
        };
        parse().ok_or_else(|| UnreadableCrowd(text.to_owned()))
    }
}

/// The payload of one caller: it begins and ends with bytes of the caller's own, so that [`verify`] notices
/// an answer that belongs to another caller.
pub fn payload(caller: usize, size: usize) -> Bytes {
    let mark = (caller as u64 + 1).to_le_bytes();
    Bytes::from_iter(mark.into_iter().cycle().take(size))
}

/// Checks that `received` answers `sent`: its length, and up to 8 bytes at both ends. Comparing all of a large
/// payload would measure the comparison.
///
/// # Errors
///
/// A text that says what differs.
pub fn verify(sent: &[u8], received: &[u8]) -> Result<(), Failure> {
    if sent.len() != received.len() {
        return Err(format!("sent {} bytes, received {}", sent.len(), received.len()).into());
    }
    let end = sent.len().min(8);
    let tail = sent.len() - end;
    if sent[..end] != received[..end] || sent[tail..] != received[tail..] {
        return Err("received the payload of another caller".into());
    }
    Ok(())
}
