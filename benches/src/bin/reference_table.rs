//! Runs the benchmark of the reference's README here, prints a table and draws a chart.

use std::io::{self, Write};
use std::process::ExitCode;
use std::{env, fs};

use iip_benches::{
    Programs, ReferenceOptions, reference_chart, reference_markdown, run_reference_rounds,
};
use iip_load::{Arguments, Failure};

fn main() -> ExitCode {
    match reference() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "reference: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn reference() -> Result<(), Failure> {
    let options = ReferenceOptions::read(Arguments::read(env::args().skip(1))?)?;
    let names: Vec<_> = options.contenders.iter().map(|c| c.name).collect();
    let programs = Programs::build(&names, options.peers_target.clone())?;
    let results = run_reference_rounds(&programs, &options, |what| {
        let _ = writeln!(io::stderr(), "{what}");
    })?;
    io::stdout().write_all(reference_markdown(&results).as_bytes())?;

    let beside = |name| Ok::<_, Failure>(env::current_exe()?.with_file_name(name));
    let json = match options.json {
        Some(path) => path,
        None => beside("reference.json")?,
    };
    fs::write(&json, serde_json::to_vec_pretty(&results)?)?;
    writeln!(io::stderr(), "every measurement: {}", json.display())?;
    match reference_chart(&results) {
        None => writeln!(io::stderr(), "no chart: it needs the contender http1")?,
        Some(svg) => {
            let chart = match options.chart {
                Some(path) => path,
                None => beside("reference.svg")?,
            };
            fs::write(&chart, svg)?;
            writeln!(io::stderr(), "chart: {}", chart.display())?;
        }
    }
    Ok(())
}
