//! Runs the contenders in turn.

use iip_load::{Failure, Measurement};
use serde::Serialize;

use super::contender::Contender;
use super::options::ReferenceOptions;
use crate::programs::{Client, Programs};
use crate::rounds::{Row, load_average, processor};

/// Everything that was measured. Rows are grouped by cores, contenders in the order asked for.
#[derive(Clone, Debug, Serialize)]
pub struct ReferenceResults {
    /// Model of the processor, when the system says.
    pub processor: String,
    /// The system's load averages before and after: what else ran.
    pub load_average: [String; 2],
    /// How often each measurement was made.
    pub rounds: usize,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// Callers, each with one call at a time.
    pub callers: usize,
    /// Bytes of payload each way.
    pub size: usize,
    /// What was measured.
    pub rows: Vec<ReferenceRow>,
}

/// All measurements of one contender on so many cores.
#[derive(Clone, Debug, Serialize)]
pub struct ReferenceRow {
    /// Cores of client and server together.
    pub cores: usize,
    /// Who it is.
    #[serde(skip)]
    pub contender: Contender,
    /// Connections that the callers share.
    pub connections: usize,
    /// The measurements.
    pub row: Row<Measurement>,
}

impl ReferenceRow {
    fn new(options: &ReferenceOptions, cores: usize, contender: Contender) -> Self {
        let connections = contender.connections(options.callers, options.pool);
        Self {
            cores,
            contender,
            connections,
            row: Row {
                workload: format!("cores:{cores}"),
                title: cores_title(cores),
                framework: contender.title(connections),
                rounds: Vec::new(),
            },
        }
    }

    fn measure(
        &self,
        programs: &Programs,
        options: &ReferenceOptions,
    ) -> Result<Measurement, Failure> {
        let client = Client {
            warm_up: options.warm_up,
            duration: options.duration,
        };
        let cores = ("--cores", self.cores.to_string());
        let server = programs.server(self.contender.name, std::slice::from_ref(&cores))?;
        programs.measure(
            &server,
            client,
            "client",
            &[
                cores,
                ("--connections", self.connections.to_string()),
                ("--workload", "echo".to_owned()),
                ("--callers", options.callers.to_string()),
                ("--size", options.size.to_string()),
            ],
        )
    }
}

/// `1 core`, `2 cores`.
pub(super) fn cores_title(cores: usize) -> String {
    let plural = if cores == 1 { "" } else { "s" };
    format!("{cores} core{plural}")
}

/// Measures every contender on each number of cores once a round, one after the other, so that whatever else the machine
/// does in these minutes meets all of them. Each measurement has a server process of its own. `progress` is told of each
/// measurement before it is made.
///
/// # Errors
///
/// The first measurement that fails.
pub fn run_reference_rounds(
    programs: &Programs,
    options: &ReferenceOptions,
    mut progress: impl FnMut(&str),
) -> Result<ReferenceResults, Failure> {
    let before = load_average();
    let mut rows = Vec::new();
    for &cores in &options.cores.0 {
        for &contender in &options.contenders {
            rows.push(ReferenceRow::new(options, cores, contender));
        }
    }
    for round in 1..=options.rounds {
        for row in &mut rows {
            let (contender, title) = (row.contender, &row.row.title);
            progress(&format!("round {round}: {title}, {contender}"));
            let measured = row.measure(programs, options);
            row.row
                .rounds
                .push(measured.map_err(|failure| format!("{contender}: {failure}"))?);
        }
    }
    Ok(ReferenceResults {
        processor: processor(),
        load_average: [before, load_average()],
        rounds: options.rounds,
        seconds: options.duration.as_secs_f64(),
        callers: options.callers,
        size: options.size,
        rows,
    })
}
