//! Measures what it costs to choose an endpoint for a call.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use iip_benches::picking_markdown;
use iip_load::{Arguments, Failure};

fn main() -> ExitCode {
    match picking() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "picking: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn picking() -> Result<(), Failure> {
    Arguments::read(env::args().skip(1))?.finish()?;
    io::stdout().write_all(picking_markdown()?.as_bytes())?;
    Ok(())
}
