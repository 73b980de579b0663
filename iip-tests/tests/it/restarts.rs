//! Servers that are replaced under load.

use std::path::Path;

use iip_tests::restarts::{Listening, Tally, across_processes, within_one_process};

fn nothing_is_lost((tally, failures): (Tally, Vec<String>), restarts: u64) {
    assert!(tally.is_perfect(), "{tally}: {failures:#?}");
    assert_eq!(tally.stopped, restarts + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_restarts_in_one_process_lose_no_call() {
    nothing_is_lost(within_one_process(200).await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_replaced_lose_no_call() {
    let program = Path::new(env!("CARGO_BIN_EXE_restarts"));
    for listening in [
        Listening::Itself,
        Listening::Inherited,
        Listening::InheritedUnix,
    ] {
        let outcome = across_processes(program, 10, listening).await;
        nothing_is_lost(outcome.unwrap(), 10);
    }
}
