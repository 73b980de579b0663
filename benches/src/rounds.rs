//! Runs the frameworks in turn.

use iip_load::{Failure, Measurement};
use serde::Serialize;

use crate::options::CompareOptions;
use crate::programs::{Name, Programs};
use crate::suite::Workload;

/// All measurements of one framework under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The load, as `operation:bytes:callers`.
    pub workload: String,
    /// The load in words.
    pub title: String,
    /// The framework.
    pub framework: String,
    /// One measurement a round.
    pub rounds: Vec<Measurement>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Model of the processor, when the system says.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The system's load averages before and after: what else ran.
    pub load_average: [String; 2],
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Grouped by load, frameworks in the order asked for.
    pub rows: Vec<Row>,
}

/// Runs every load on every framework once a round, the frameworks one after the other, so that whatever else the
/// machine does in these minutes meets all of them. Each measurement has a server process of its own. `progress`
/// is told of each measurement.
///
/// # Errors
///
/// The first measurement that fails.
pub fn run_rounds(
    programs: &Programs,
    options: &CompareOptions,
    mut progress: impl FnMut(usize, &Measurement),
) -> Result<Results, Failure> {
    let before = load_average();
    let mut rows: Vec<(Name, Workload, Row)> = Vec::new();
    for &workload in &options.workloads.0 {
        for &name in options
            .frameworks
            .iter()
            .filter(|name| name.supports(workload))
        {
            let row = Row {
                workload: workload.to_string(),
                title: workload.title(),
                framework: name.to_string(),
                rounds: Vec::new(),
            };
            rows.push((name, workload, row));
        }
    }
    for round in 0..options.rounds {
        for (name, workload, row) in &mut rows {
            let server = programs.server(*name)?;
            let measurement =
                programs.measure(&server, *workload, options.warm_up, options.duration)?;
            progress(round, &measurement);
            row.rounds.push(measurement);
        }
    }
    Ok(Results {
        processor: processor(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        load_average: [before, load_average()],
        seconds: options.duration.as_secs_f64(),
        rows: rows.into_iter().map(|(_, _, row)| row).collect(),
    })
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(
        || "unknown".to_owned(),
        |name| name.trim_start_matches([' ', '\t', ':']).to_owned(),
    )
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
