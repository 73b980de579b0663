//! Which loads are compared.

use std::str::FromStr;

use iip_load::Operation;

use crate::workload::{Beside, Calls, Stalled, Stream, WorkloadError};

const SMALL: [Calls; 5] = [
    Calls::new(Operation::Echo, 32, 1),
    Calls::new(Operation::Echo, 32, 16),
    Calls::new(Operation::Echo, 32, 64),
    Calls::new(Operation::Echo, 32, 256),
    Calls::new(Operation::Echo, 32, 1024),
];
const LARGE: [Calls; 4] = [
    Calls::new(Operation::Echo, 14 << 10, 1),
    Calls::new(Operation::Echo, 14 << 10, 64),
    Calls::new(Operation::Echo, 1 << 20, 1),
    Calls::new(Operation::Echo, 1 << 20, 8),
];
const HANDLERS: [Calls; 2] = [
    Calls::new(Operation::Yield, 32, 64),
    Calls::new(Operation::Burn, 32, 64),
];
const STREAMS: [Stream; 2] = [Stream { size: 32 }, Stream { size: 64 << 10 }];
const BESIDE: [Beside; 2] = [Beside::Unsaturated, Beside::Saturated];

/// Several workloads; on the command line, written with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Unary calls.
    pub calls: Vec<Calls>,
    /// Server streaming.
    pub streams: Vec<Stream>,
    /// Small calls beside large ones.
    pub beside: Vec<Beside>,
    /// Calls beside a stream that nobody reads.
    pub stalled: Vec<Stalled>,
}

impl Default for Suite {
    /// All of them.
    fn default() -> Self {
        Self {
            calls: [&SMALL[..], &LARGE, &HANDLERS].concat(),
            streams: STREAMS.to_vec(),
            beside: BESIDE.to_vec(),
            stalled: vec![Stalled],
        }
    }
}

impl FromStr for Suite {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut suite = Self {
            calls: Vec::new(),
            streams: Vec::new(),
            beside: Vec::new(),
            stalled: Vec::new(),
        };
        for part in text.split(',') {
            match part {
                "all" => {
                    let all = Self::default();
                    suite.calls.extend(all.calls);
                    suite.streams.extend(all.streams);
                    suite.beside.extend(all.beside);
                    suite.stalled.extend(all.stalled);
                }
                "small" => suite.calls.extend(SMALL),
                "large" => suite.calls.extend(LARGE),
                "handlers" => suite.calls.extend(HANDLERS),
                "streams" => suite.streams.extend(STREAMS),
                "beside" => suite.beside.extend(BESIDE),
                "beside:unsaturated" => suite.beside.push(Beside::Unsaturated),
                "beside:saturated" => suite.beside.push(Beside::Saturated),
                "stalled" => suite.stalled.push(Stalled),
                stream if stream.starts_with("stream:") => suite.streams.push(stream.parse()?),
                calls => suite.calls.push(calls.parse()?),
            }
        }
        Ok(suite)
    }
}
