//! Three servers under load, while they are killed, cut off, stopped and cut; what was asked of their callers, and what
//! came out.
//!
//! ```text
//! fleet [--full] [SCENARIO...]
//! ```
//!
//! The scenarios are `kill`, `black-hole`, `stop`, `cuts` and `down`; without any, all of them in this order. The short
//! form asserts counts; the full one has the figures in full, and asserts times too: nothing else should run beside it.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use iip_tests::fleet::{Plan, Report, black_hole, cuts, down, kill, serve, stop};

const SCENARIOS: [&str; 5] = ["kill", "black-hole", "stop", "cuts", "down"];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["serve", address, notes] = arguments[..] {
        iip_rpc::run(serve(address, notes))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (plan, names) = match arguments[..] {
        ["--full", ref names @ ..] => (Plan::full(), names),
        ref names => (Plan::short(), names),
    };
    if let Some(name) = names.iter().find(|name| !SCENARIOS.contains(name)) {
        let all = SCENARIOS.join("|");
        return Err(format!("{name} is unknown\nusage: fleet [--full] [{all}...]").into());
    }
    let names = if names.is_empty() { &SCENARIOS } else { names };
    Ok(match iip_rpc::run(run(&plan, names))? {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn run(plan: &Plan, names: &[&str]) -> Result<bool> {
    let program = std::env::current_exe()?;
    let mut failed = Vec::new();
    for name in names {
        let began = Instant::now();
        let reports: Vec<Report> = match *name {
            "kill" => vec![kill(&program, plan).await?],
            "black-hole" => vec![black_hole(&program, plan).await?],
            "stop" => vec![stop(&program, plan).await?],
            "cuts" => vec![cuts(&program, plan).await?],
            _ => down(&program, plan).await?,
        };
        for report in &reports {
            println!("{report}");
        }
        if !reports.iter().all(Report::is_met) {
            failed.push(*name);
        }
        println!("({name} took {:.0} s)\n", began.elapsed().as_secs_f64());
    }
    match failed[..] {
        [] => println!("every bar was met"),
        _ => println!("FAILED: {}", failed.join(", ")),
    }
    Ok(failed.is_empty())
}
