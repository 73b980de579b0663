//! Servers that are killed, and connections that are cut, under load.

use std::path::Path;
use std::time::Duration;

use iip_tests::fleet::{Plan, cuts, kill};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fleet");

/// Fewer kills than the attempts of a call, so that not even bad luck makes one fail, and no waits between them.
fn plan() -> Plan {
    Plan {
        kills: 2,
        kill_every: Duration::ZERO,
        cuts: 60,
        ..Plan::short()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_servers_that_are_killed_only_what_must_not_run_twice_is_lost() {
    let report = kill(Path::new(PROGRAM), &plan()).await.unwrap();
    assert!(report.is_met(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_connections_that_are_cut_only_what_must_not_run_twice_is_lost() {
    let report = cuts(Path::new(PROGRAM), &plan()).await.unwrap();
    assert!(report.is_met(), "{report}");
}
