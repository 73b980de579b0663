//! The kinds of load: each has measurements of its own.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use iip_load::{BesideMeasurement, Crowd, Failure, Measurement, Operation, StreamMeasurement};
use serde::Serialize;

use crate::programs::{Client, Name, Programs};

/// A load that a framework is measured under. `Display` writes it as the command line names it.
pub trait Workload: Copy + fmt::Display {
    /// What one round measures.
    type Measured;

    /// What the table says of it.
    fn title(&self) -> String;

    /// Whether `name` can carry it.
    fn supports(&self, name: Name) -> bool;

    /// Starts a server and a client and measures once.
    ///
    /// # Errors
    ///
    /// What fails of this.
    fn measure(
        &self,
        programs: &Programs,
        name: Name,
        client: Client,
    ) -> Result<Self::Measured, Failure>;
}

/// Callers of one unary method on one connection. Written `echo:32:64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// What the handler does.
    pub operation: Operation,
    /// Bytes of payload each way.
    pub size: usize,
    /// Callers on the one connection.
    pub callers: usize,
}

impl Calls {
    pub(crate) const fn new(operation: Operation, size: usize, callers: usize) -> Self {
        Self {
            operation,
            size,
            callers,
        }
    }

    fn measure_beside(
        self,
        programs: &Programs,
        name: Name,
        client: Client,
        stalled: usize,
    ) -> Result<Measurement, Failure> {
        // Calls of HTTP/1.1 cannot share a connection.
        let connections = match name {
            Name::Http1 => self.callers,
            _ => 1,
        };
        let server = programs.server(name, &[])?;
        programs.measure(
            &server,
            client,
            "client",
            &[
                ("--workload", self.operation.name().to_owned()),
                ("--callers", self.callers.to_string()),
                ("--size", self.size.to_string()),
                ("--stalled", stalled.to_string()),
                ("--connections", connections.to_string()),
            ],
        )
    }
}

impl Workload for Calls {
    type Measured = Measurement;

    fn title(&self) -> String {
        let what = match self.operation {
            Operation::Echo => "",
            Operation::Yield => "yields once, ",
            Operation::Burn => "burns 1 ms, ",
        };
        let plural = if self.callers == 1 { "" } else { "s" };
        format!(
            "{what}{}, {} caller{plural}",
            bytes(self.size),
            self.callers
        )
    }

    /// Without RPC there are no handlers.
    fn supports(&self, name: Name) -> bool {
        self.operation == Operation::Echo || !(name == Name::Raw || name.only_echoes())
    }

    fn measure(
        &self,
        programs: &Programs,
        name: Name,
        client: Client,
    ) -> Result<Measurement, Failure> {
        self.measure_beside(programs, name, client, 0)
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.operation, self.size, self.callers)
    }
}

/// Messages from the server in one call. Written `stream:32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Bytes of payload of a message.
    pub size: usize,
}

impl Stream {
    /// Messages of a call, unless that would be more than [`MOST_BYTES`](Self::MOST_BYTES).
    const MESSAGES: usize = 1_000_000;
    const MOST_BYTES: usize = 1 << 30;

    /// Messages of a call.
    pub fn messages(&self) -> usize {
        (Self::MOST_BYTES / self.size.max(1)).clamp(1, Self::MESSAGES)
    }
}

impl Workload for Stream {
    type Measured = StreamMeasurement;

    fn title(&self) -> String {
        format!("{} messages of {}", self.messages(), bytes(self.size))
    }

    fn supports(&self, name: Name) -> bool {
        !name.only_echoes()
    }

    fn measure(
        &self,
        programs: &Programs,
        name: Name,
        client: Client,
    ) -> Result<StreamMeasurement, Failure> {
        let server = programs.server(name, &[])?;
        programs.measure(
            &server,
            client,
            "stream",
            &[
                ("--size", self.size.to_string()),
                ("--messages", self.messages().to_string()),
            ],
        )
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream:{}", self.size)
    }
}

/// Small calls and large ones on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// 4 small callers that pause 1 ms, a large one that pauses 10 ms.
    Unsaturated,
    /// 16 small callers and 2 large ones, all without a pause.
    Saturated,
}

impl Beside {
    /// The largest message that both sides accept, in bytes.
    const MAX_MESSAGE: usize = 16 << 20;

    /// The small callers and the large ones.
    pub fn crowds(self) -> [Crowd; 2] {
        let crowd = |callers, size, pause| Crowd {
            callers,
            size,
            pause: Duration::from_millis(pause),
        };
        match self {
            Self::Unsaturated => [crowd(4, 32, 1), crowd(1, 8 << 20, 10)],
            Self::Saturated => [crowd(16, 32, 0), crowd(2, 8 << 20, 0)],
        }
    }
}

impl Workload for Beside {
    type Measured = BesideMeasurement;

    fn title(&self) -> String {
        let [small, bulk] = self.crowds().map(|crowd| {
            let pause = match crowd.pause.as_millis() {
                0 => String::new(),
                pause => format!(", pausing {pause} ms"),
            };
            format!("{} x {}{pause}", crowd.callers, bytes(crowd.size))
        });
        format!("{small}; beside {bulk}")
    }

    fn supports(&self, name: Name) -> bool {
        !name.only_echoes()
    }

    fn measure(
        &self,
        programs: &Programs,
        name: Name,
        client: Client,
    ) -> Result<BesideMeasurement, Failure> {
        let max_message = ("--max-message", Self::MAX_MESSAGE.to_string());
        let server = programs.server(name, std::slice::from_ref(&max_message))?;
        let [small, bulk] = self.crowds();
        programs.measure(
            &server,
            client,
            "beside",
            &[
                max_message,
                ("--small", small.to_string()),
                ("--bulk", bulk.to_string()),
            ],
        )
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsaturated => "beside:unsaturated",
            Self::Saturated => "beside:saturated",
        })
    }
}

/// 1,000 callers, without and with a stream on their connection that nobody reads. Written `stalled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalled;

impl Stalled {
    const CALLS: Calls = Calls::new(Operation::Echo, 32, 1_000);
}

/// One round of [`Stalled`]: two measurements, one right after the other.
#[derive(Clone, Debug, Serialize)]
pub struct StalledMeasurement {
    /// Without the stalled stream.
    pub without: Measurement,
    /// With it.
    pub with: Measurement,
}

impl Workload for Stalled {
    type Measured = StalledMeasurement;

    fn title(&self) -> String {
        Self::CALLS.title()
    }

    /// A stream of the hand-written echo has a connection of its own.
    fn supports(&self, name: Name) -> bool {
        !(name == Name::Raw || name.only_echoes())
    }

    fn measure(
        &self,
        programs: &Programs,
        name: Name,
        client: Client,
    ) -> Result<StalledMeasurement, Failure> {
        let measure = |stalled| Self::CALLS.measure_beside(programs, name, client, stalled);
        Ok(StalledMeasurement {
            without: measure(0)?,
            with: measure(1)?,
        })
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stalled")
    }
}

/// A text that names no workload, nor a group of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadError(String);

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no workload: use operation:bytes:callers (echo:32:64), stream:bytes, beside:unsaturated, \
             beside:saturated or stalled, or a group: small, large, handlers, streams, beside or all",
            self.0
        )
    }
}

impl std::error::Error for WorkloadError {}

impl WorkloadError {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Calls {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split(':');
            let operation = parts.next()?.parse().ok()?;
            let size = parts.next()?.parse().ok()?;
            let callers = parts.next()?.parse().ok().filter(|&n| n > 0)?;
            let calls = Self::new(operation, size, callers);
            parts.next().is_none().then_some(calls)
        };
        parse().ok_or_else(|| WorkloadError::new(text))
    }
}

impl FromStr for Stream {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = text.strip_prefix("stream:").map(str::parse);
        match size {
            Some(Ok(size)) => Ok(Self { size }),
            _ => Err(WorkloadError::new(text)),
        }
    }
}

pub(crate) fn bytes(size: usize) -> String {
    match size {
        size if size >= 1 << 20 && size % (1 << 20) == 0 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 && size % (1 << 10) == 0 => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}
