//! Restarts under load, with counts that have to be right: no call fails, none runs twice.
//!
//! ```text
//! restarts            the short form: 200 in one process, 40 of separate processes
//! restarts --full     the full form: 8,000 in one process, 2,000 of separate processes
//! restarts COUNT COUNT
//! ```
//!
//! Half of the processes are told to stop before the next one listens, and half pass their listener on (`LISTEN_FDS`).

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use iip_tests::restarts::{Listening, Tally, across_processes, serve, within_one_process};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (within, processes) = match arguments[..] {
        ["serve", address] => {
            let clean = iip_rpc::run(serve(address))?;
            return Ok(if clean {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        [] => (200, 40),
        ["--full"] => (8_000, 2_000),
        [within, processes] => (within.parse()?, processes.parse()?),
        _ => return Err("usage: restarts [--full | COUNT COUNT]".into()),
    };
    let perfect = iip_rpc::run(restart(within, processes))?;
    Ok(if perfect {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn restart(within: u64, processes: u64) -> Result<bool> {
    let program = std::env::current_exe()?;
    let mut perfect = true;
    let mut tell = |what: &str, began: Instant, (tally, failures): (Tally, Vec<String>)| {
        println!("{what}: {tally} ({:.1} s)", began.elapsed().as_secs_f64());
        for failure in failures {
            println!("    {failure}");
        }
        perfect &= tally.is_perfect();
    };
    let began = Instant::now();
    tell("one process", began, within_one_process(within).await?);
    for (what, listening) in [
        ("processes that listen themselves", Listening::Itself),
        (
            "processes that inherit their listener",
            Listening::Inherited,
        ),
    ] {
        let began = Instant::now();
        tell(
            what,
            began,
            across_processes(&program, processes / 2, listening).await?,
        );
    }
    println!(
        "{}",
        if perfect {
            "nothing was lost"
        } else {
            "FAILED"
        }
    );
    Ok(perfect)
}
