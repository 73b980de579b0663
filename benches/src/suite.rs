//! Which loads are compared.

use std::fmt;
use std::str::FromStr;

use iip_load::Operation;

/// One load: an operation, a payload and a number of callers. Written `echo:32:64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What the handler does.
    pub operation: Operation,
    /// Bytes of payload each way.
    pub size: usize,
    /// Callers on the one connection.
    pub callers: usize,
}

impl Workload {
    const fn new(operation: Operation, size: usize, callers: usize) -> Self {
        Self {
            operation,
            size,
            callers,
        }
    }

    /// What the table says of it.
    pub fn title(&self) -> String {
        let what = match self.operation {
            Operation::Echo => "",
            Operation::Yield => "yields once, ",
            Operation::Burn => "burns 1 ms, ",
        };
        let size = match self.size {
            size if size >= 1 << 20 && size % (1 << 20) == 0 => format!("{} MiB", size >> 20),
            size if size >= 1 << 10 && size % (1 << 10) == 0 => format!("{} KiB", size >> 10),
            size => format!("{size} B"),
        };
        let plural = if self.callers == 1 { "" } else { "s" };
        format!("{what}{size}, {} caller{plural}", self.callers)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.operation, self.size, self.callers)
    }
}

/// A text that is neither `operation:size:callers` nor the name of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadError(String);

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no workload: use operation:bytes:callers (echo:32:64), or small, large, handlers or all",
            self.0
        )
    }
}

impl std::error::Error for WorkloadError {}

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split(':');
            let operation = parts.next()?.parse().ok()?;
            let size = parts.next()?.parse().ok()?;
            let callers = parts.next()?.parse().ok().filter(|&n| n > 0)?;
            parts
                .next()
                .is_none()
                .then_some(Self::new(operation, size, callers))
        };
        parse().ok_or_else(|| WorkloadError(text.to_owned()))
    }
}

const SMALL: [Workload; 5] = [
    Workload::new(Operation::Echo, 32, 1),
    Workload::new(Operation::Echo, 32, 16),
    Workload::new(Operation::Echo, 32, 64),
    Workload::new(Operation::Echo, 32, 256),
    Workload::new(Operation::Echo, 32, 1024),
];
const LARGE: [Workload; 4] = [
    Workload::new(Operation::Echo, 14 << 10, 1),
    Workload::new(Operation::Echo, 14 << 10, 64),
    Workload::new(Operation::Echo, 1 << 20, 1),
    Workload::new(Operation::Echo, 1 << 20, 8),
];
const HANDLERS: [Workload; 2] = [
    Workload::new(Operation::Yield, 32, 64),
    Workload::new(Operation::Burn, 32, 64),
];

/// Several workloads, written with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite(pub Vec<Workload>);

impl Default for Suite {
    /// All of them.
    fn default() -> Self {
        Self([&SMALL[..], &LARGE, &HANDLERS].concat())
    }
}

impl FromStr for Suite {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut workloads = Vec::new();
        for part in text.split(',') {
            match part {
                "all" => workloads.extend(Self::default().0),
                "small" => workloads.extend(SMALL),
                "large" => workloads.extend(LARGE),
                "handlers" => workloads.extend(HANDLERS),
                other => workloads.push(other.parse()?),
            }
        }
        Ok(Self(workloads))
    }
}
