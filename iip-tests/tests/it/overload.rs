//! A server that is offered three times what it can do, in virtual time: nothing depends on the machine.

use std::time::Duration;

use iip_tests::overload::{Plan, run};

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_goes_on_and_recovers() {
    let plan = Plan::new(Duration::from_millis(40), Duration::from_secs(10));
    let report = run(&plan, "memory://overloaded").await.expect("a server");
    report
        .check_counts()
        .and_then(|()| report.check_times())
        .unwrap_or_else(|wrong| panic!("{wrong}\n{report}"));
}
