use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use iip_rpc::Channel;

use super::judge::{Event, judge, tell_latency};
use super::load::Load;
use super::plan::Plan;
use super::report::Report;
use super::servers::{SERVERS, Servers};
use super::watch;

/// How soon after its end no call is sent to a server any more.
const AVOIDED: Duration = Duration::from_millis(50);

/// Kills one server after the other (SIGKILL), and starts each again.
///
/// # Errors
///
/// A process cannot be started, or the callers come to a standstill.
pub async fn kill(program: &Path, plan: &Plan) -> io::Result<Report> {
    let mut servers = Servers::start(program).await?;
    let channel = Channel::builder(servers.addresses().join(","))
        .timeout(plan.timeout)
        .connect()
        .await
        .map_err(io::Error::other)?;
    let load = Load::at(plan, &channel);
    // So many calls that each server has its share of them.
    let some = u64::from(plan.rate / 5).max(30);
    let (mut events, mut exposed, mut worst) = (Vec::new(), 0, Duration::ZERO);
    for number in 0..plan.kills {
        let index = number as usize % SERVERS;
        watch::all_well(&channel).await?;
        load.progress(some).await?;
        // Something is to be lost.
        watch::until(&channel, |endpoints| endpoints[index].in_flight >= 3).await?;
        let ended = *load.ledger.ended().borrow();
        let began = Instant::now();
        servers.kill(index)?;
        let seen = watch::until(&channel, |endpoints| endpoints[index].connections == 0).await?;
        // All that were in progress anywhere, and all that began until then.
        exposed += load.ledger.begun() - ended;
        worst = worst.max(seen - began);
        events.push(Event::new(&servers.addresses()[index], began, seen));
        load.until(began + plan.kill_every / 2, some).await?;
        servers.begin(index).await?;
        load.until(began + plan.kill_every, 0).await?;
    }
    let calls = load.end().await?;
    drop(channel);
    let executed = servers.end()?;
    let mut report = Report::new("kill");
    report.tell("servers killed", events.len());
    let failed = judge(&mut report, &calls, &executed, Some(&events));
    report.at_most(
        "  against all calls in flight at those moments",
        exposed,
        failed,
    );
    report.within(
        "a dead server gets no more calls after",
        AVOIDED,
        worst,
        plan.timed,
    );
    tell_latency(&mut report, &calls);
    Ok(report)
}
