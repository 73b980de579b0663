//! A server that is offered three times what it can do, over TCP and in real time.
//!
//! ```text
//! overload --short         3 s of overload; checks counts
//! overload [--seconds N]   60 s of overload, or N; checks times too, and so needs a machine with nothing else to do
//! ```

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use iip_tests::overload::{Plan, run};

const USAGE: &str = "usage: overload [--short | --seconds N]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (seconds, short) = match arguments.next().as_deref() {
        None => (60, false),
        Some("--short") => (3, true),
        Some("--seconds") => (arguments.next().ok_or(USAGE)?.parse()?, false),
        Some(_) => return Err(USAGE.into()),
    };
    // 800 calls a second.
    let plan = Plan::new(Duration::from_millis(10), Duration::from_secs(seconds));
    let report = iip_rpc::run(run(&plan, "127.0.0.1:0"))?;
    writeln!(stdout(), "{report}")?;
    report.check_counts()?;
    if !short {
        report.check_times()?;
    }
    writeln!(stdout(), "all as it should be")?;
    Ok(())
}
