use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use iip_rpc::Channel;
use iip_rpc::client::Retry;
use iip_rpc::iip_core::balance::EndpointState;
use iip_rpc::iip_core::session::KeepAlive;

use super::judge::{Event, judge, tell_latency};
use super::load::Load;
use super::plan::Plan;
use super::proxy::{Cutting, Proxy};
use super::report::Report;
use super::servers::{SERVERS, Servers};
use super::watch;

/// How soon no call is sent any more to a server that does not answer.
const OUT: Duration = Duration::from_secs(2);

/// How soon calls are sent again to one that answers again.
const BACK: Duration = Duration::from_secs(6);

/// Cuts off one server after the other: nothing is forwarded to it or from it, and nothing refused.
///
/// # Errors
///
/// A process cannot be started, or the callers come to a standstill.
pub async fn black_hole(program: &Path, plan: &Plan) -> io::Result<Report> {
    let servers = Servers::start(program).await?;
    let mut proxies = Vec::new();
    for address in servers.addresses() {
        proxies.push(Proxy::start(address, Cutting::Never).await?);
    }
    let addresses: Vec<_> = proxies
        .iter()
        .map(|proxy| proxy.address().to_owned())
        .collect();
    let change = |index: usize, reachable: bool| {
        proxies[index].forward(reachable);
        Ok(())
    };
    let outages = Outages {
        name: "black-hole",
        count: plan.black_holes,
        time: plan.black_hole,
    };
    outages
        .run(plan, &addresses, servers, |_, index, reachable| {
            change(index, reachable)
        })
        .await
}

/// Stops the process of one server after the other (SIGSTOP), and lets it go on.
///
/// # Errors
///
/// A process cannot be started, or the callers come to a standstill.
pub async fn stop(program: &Path, plan: &Plan) -> io::Result<Report> {
    let servers = Servers::start(program).await?;
    let addresses = servers.addresses().to_vec();
    let outages = Outages {
        name: "stop",
        count: plan.stops,
        time: plan.stop,
    };
    let change = |servers: &Servers, index: usize, reachable: bool| {
        let process = servers.running(index)?;
        match reachable {
            true => process.resume(),
            false => process.pause(),
        }
    };
    outages.run(plan, &addresses, servers, change).await
}

/// Servers that do not answer for a while.
struct Outages {
    name: &'static str,
    count: u32,
    time: Duration,
}

impl Outages {
    async fn run(
        self,
        plan: &Plan,
        addresses: &[String],
        servers: Servers,
        change: impl Fn(&Servers, usize, bool) -> io::Result<()>,
    ) -> io::Result<Report> {
        let keep_alive = KeepAlive::default().interval(plan.ping).timeout(plan.ping);
        let channel = Channel::builder(addresses.join(","))
            .timeout(plan.timeout)
            .retry(Retry::safe().attempt_timeout(plan.attempt_timeout))
            .keep_alive(keep_alive)
            .connect()
            .await
            .map_err(io::Error::other)?;
        let load = Load::at(plan, &channel);
        let (mut out, mut back) = (Duration::ZERO, Duration::ZERO);
        let mut events = Vec::new();
        for number in 0..self.count {
            let index = number as usize % SERVERS;
            watch::all_well(&channel).await?;
            // What may be made again is a part of the calls of the last ten seconds.
            load.progress(u64::from(plan.rate) * 5).await?;
            let began = Instant::now();
            change(&servers, index, false)?;
            let out_of_it = |endpoints: &[EndpointState]| !watch::takes_calls(&endpoints[index]);
            let seen = watch::until(&channel, out_of_it).await?;
            out = out.max(seen - began);
            load.until(began + self.time, 0).await?;
            let healed = Instant::now();
            change(&servers, index, true)?;
            let well = watch::until(&channel, |endpoints| watch::takes_calls(&endpoints[index]));
            back = back.max(well.await? - healed);
            events.push(Event::new(&addresses[index], began, seen));
        }
        let calls = load.end().await?;
        drop(channel);
        let executed = servers.end()?;
        let mut report = Report::new(self.name);
        report.tell("servers that did not answer for a while", events.len());
        let failed = judge(&mut report, &calls, &executed, Some(&events));
        let share = u64::from(plan.rate) / SERVERS as u64 * OUT.as_secs() * u64::from(self.count);
        report.at_most(
            "  against a server's share of the calls in 2 s",
            share,
            failed,
        );
        report.within(
            "a server that does not answer gets no more calls after",
            OUT,
            out,
            plan.timed,
        );
        report.within(
            "one that answers again gets calls after",
            BACK,
            back,
            plan.timed,
        );
        tell_latency(&mut report, &calls);
        Ok(report)
    }
}
