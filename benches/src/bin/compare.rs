//! Runs this project and its peers under the same loads and prints tables.

use std::io::{self, Write};
use std::process::ExitCode;
use std::{env, fs};

use iip_benches::{CompareOptions, Programs, markdown, run_rounds};
use iip_load::{Arguments, Failure};

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "compare: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), Failure> {
    let options = CompareOptions::read(Arguments::read(env::args().skip(1))?)?;
    let programs = Programs::build(&options.frameworks, options.peers_target.clone())?;
    let results = run_rounds(&programs, &options, |what| {
        let _ = writeln!(io::stderr(), "{what}");
    })?;
    io::stdout().write_all(markdown(&results).as_bytes())?;
    let json = match options.json {
        Some(path) => path,
        None => env::current_exe()?.with_file_name("compare.json"),
    };
    fs::write(&json, serde_json::to_vec_pretty(&results)?)?;
    writeln!(io::stderr(), "every measurement: {}", json.display())?;
    Ok(())
}
