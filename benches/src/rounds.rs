//! Runs the frameworks in turn.

use iip_load::{BesideMeasurement, Failure, Measurement, StreamMeasurement};
use serde::Serialize;

use crate::options::CompareOptions;
use crate::programs::{Client, Name, Programs};
use crate::workload::{StalledMeasurement, Workload};

/// All measurements of one framework under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Row<M> {
    /// The load, as the command line names it.
    pub workload: String,
    /// The load in words.
    pub title: String,
    /// The framework.
    pub framework: String,
    /// One measurement a round.
    pub rounds: Vec<M>,
}

/// Everything that was measured. Rows are grouped by load, frameworks in the order asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Model of the processor, when the system says.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The system's load averages before and after: what else ran.
    pub load_average: [String; 2],
    /// How often each measurement was made.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Unary calls.
    pub rows: Vec<Row<Measurement>>,
    /// Server streaming.
    pub streams: Vec<Row<StreamMeasurement>>,
    /// Small calls beside large ones.
    pub beside: Vec<Row<BesideMeasurement>>,
    /// Calls without and with a stream that nobody reads.
    pub stalled: Vec<Row<StalledMeasurement>>,
}

/// Runs every load on every framework once a round, the frameworks one after the other, so that whatever else the
/// machine does in these minutes meets all of them. Each measurement has a server process of its own. `progress`
/// is told of each measurement before it is made.
///
/// # Errors
///
/// The first measurement that fails.
pub fn run_rounds(
    programs: &Programs,
    options: &CompareOptions,
    mut progress: impl FnMut(&str),
) -> Result<Results, Failure> {
    let before = load_average();
    let client = Client {
        warm_up: options.warm_up,
        duration: options.duration,
    };
    let suite = &options.workloads;
    let mut calls = Table::new(&suite.calls, &options.frameworks);
    let mut streams = Table::new(&suite.streams, &options.frameworks);
    let mut beside = Table::new(&suite.beside, &options.frameworks);
    let mut stalled = Table::new(&suite.stalled, &options.frameworks);
    for round in 1..=options.rounds {
        let mut progress = |what: &str| progress(&format!("round {round}: {what}"));
        calls.measure(programs, client, &mut progress)?;
        streams.measure(programs, client, &mut progress)?;
        beside.measure(programs, client, &mut progress)?;
        stalled.measure(programs, client, &mut progress)?;
    }
    Ok(Results {
        processor: processor(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        load_average: [before, load_average()],
        rounds: options.rounds,
        seconds: options.duration.as_secs_f64(),
        rows: calls.rows(),
        streams: streams.rows(),
        beside: beside.rows(),
        stalled: stalled.rows(),
    })
}

/// The rows of the loads of one kind, each with what it takes to measure it again.
struct Table<W: Workload>(Vec<(W, Name, Row<W::Measured>)>);

impl<W: Workload> Table<W> {
    fn new(workloads: &[W], names: &[Name]) -> Self {
        let row = |(workload, name): (W, Name)| {
            let row = Row {
                workload: workload.to_string(),
                title: workload.title(),
                framework: name.to_string(),
                rounds: Vec::new(),
            };
            (workload, name, row)
        };
        let pairs = workloads
            .iter()
            .flat_map(|&workload| names.iter().map(move |&name| (workload, name)));
        Self(
            pairs
                .filter(|(workload, name)| workload.supports(*name))
                .map(row)
                .collect(),
        )
    }

    /// One round.
    fn measure(
        &mut self,
        programs: &Programs,
        client: Client,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), Failure> {
        for (workload, name, row) in &mut self.0 {
            progress(&format!("{name} {workload}"));
            let measured = workload.measure(programs, *name, client);
            row.rounds
                .push(measured.map_err(|failure| format!("{workload}: {failure}"))?);
        }
        Ok(())
    }

    fn rows(self) -> Vec<Row<W::Measured>> {
        self.0.into_iter().map(|(_, _, row)| row).collect()
    }
}

pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(
        || "unknown".to_owned(),
        |name| name.trim_start_matches([' ', '\t', ':']).to_owned(),
    )
}

pub(crate) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
