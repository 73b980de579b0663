//! Measures what an idle connection costs each server.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use iip_benches::{MemoryOptions, Programs, footprints_markdown, idle_footprint};
use iip_load::{Arguments, Failure};

fn main() -> ExitCode {
    match memory() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "memory: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn memory() -> Result<(), Failure> {
    let options = MemoryOptions::read(Arguments::read(env::args().skip(1))?)?;
    let programs = Programs::build(&options.frameworks, options.peers_target)?;
    let footprints = options
        .frameworks
        .iter()
        .map(|&name| idle_footprint(&programs, name, options.connections))
        .collect::<Result<Vec<_>, _>>()?;
    io::stdout().write_all(footprints_markdown(&footprints).as_bytes())?;
    Ok(())
}
