//! Simulates what each policy does when one of ten servers is slow.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use iip_benches::{BalancingOptions, run_balancing};
use iip_load::{Arguments, Failure};

fn main() -> ExitCode {
    match balancing() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "balancing: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn balancing() -> Result<(), Failure> {
    let options = BalancingOptions::read(Arguments::read(env::args().skip(1))?)?;
    let results = run_balancing(options.calls);
    if let Some(file) = options.picture {
        fs::write(file, results.picture())?;
    }
    io::stdout().write_all(results.markdown().as_bytes())?;
    Ok(())
}
