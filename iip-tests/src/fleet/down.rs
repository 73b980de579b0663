use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use iip_rpc::{Channel, Code, Outcome};

use super::judge::{Event, judge};
use super::ledger::{Call, Failure};
use super::load::{Load, PATIENCE};
use super::plan::Plan;
use super::proxy::{Cutting, Proxy};
use super::report::Report;
use super::servers::{SERVERS, Servers};
use super::watch;

/// How soon calls fail while no server can be reached, from a second after the last one went.
const FAST: Duration = Duration::from_millis(5);

/// How soon calls succeed again when the servers do.
const RECOVERED: Duration = Duration::from_secs(2);

/// Most attempts to connect to a server, a second.
const DIALS: u64 = 10;

/// Kills all servers, and starts them again after a while: first servers that are reached directly, so that connections
/// are refused, then some behind proxies, which accept connections and close them.
///
/// # Errors
///
/// A process cannot be started, or the callers come to a standstill.
pub async fn down(program: &Path, plan: &Plan) -> io::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for proxied in [false, true] {
        reports.push(Down::start(program, plan, proxied).await?.run(plan).await?);
    }
    Ok(reports)
}

struct Down {
    servers: Servers,
    proxies: Vec<Proxy>,
    addresses: Vec<String>,
    channel: Channel,
}

impl Down {
    async fn start(program: &Path, plan: &Plan, proxied: bool) -> io::Result<Self> {
        let servers = Servers::start(program).await?;
        let mut proxies = Vec::new();
        if proxied {
            for address in servers.addresses() {
                proxies.push(Proxy::start(address, Cutting::Never).await?);
            }
        }
        let addresses = match proxied {
            false => servers.addresses().to_vec(),
            true => proxies
                .iter()
                .map(|proxy| proxy.address().to_owned())
                .collect(),
        };
        let channel = Channel::builder(addresses.join(","))
            .timeout(plan.timeout)
            .connect()
            .await
            .map_err(io::Error::other)?;
        Ok(Self {
            servers,
            proxies,
            addresses,
            channel,
        })
    }

    async fn run(mut self, plan: &Plan) -> io::Result<Report> {
        let load = Load::at(plan, &self.channel);
        watch::all_well(&self.channel).await?;
        load.progress(u64::from(plan.rate)).await?;
        let killed = Instant::now();
        for index in 0..SERVERS {
            self.servers.kill(index)?;
        }
        let gone = watch::until(&self.channel, |endpoints| {
            endpoints.iter().all(|endpoint| endpoint.connections == 0)
        })
        .await?;
        load.until(gone + plan.down, u64::from(plan.rate)).await?;
        let dials = self
            .proxies
            .iter()
            .map(|proxy| proxy.most_in_a_second(killed));
        let dials = dials.max();
        let starting = Instant::now();
        for index in 0..SERVERS {
            self.servers.begin(index).await?;
        }
        let started = Instant::now();
        watch::all_well(&self.channel).await?;
        while !load.ledger.goes_well(20) {
            if started.elapsed() > PATIENCE {
                return Err(io::Error::other("calls go on failing"));
            }
            load.progress(1).await?;
        }
        let well = Instant::now();
        load.progress(u64::from(plan.rate)).await?;
        let calls = load.end().await?;
        let executed = self.servers.end()?;

        let mut report = Report::new(match self.proxies.is_empty() {
            true => "down, connections refused",
            false => "down, connections closed",
        });
        let while_down = |call: &&Call| call.began > gone && call.began < starting;
        let (refused, rest): (Vec<Call>, Vec<Call>) = calls
            .into_iter()
            .partition(|call| while_down(&call) && call.failure.is_some());
        report.tell("calls that failed while no server was there", refused.len());
        let unexpected = refused.iter().filter(|call| !is_refusal(call));
        report.at_most(
            "  other than as unavailable, not sent",
            0,
            unexpected.count() as u64,
        );
        let later = refused
            .iter()
            .filter(|call| call.began > gone + Duration::from_secs(1));
        let mut times: Vec<_> = later.map(|call| call.took).collect();
        times.sort_unstable();
        let at = |share: usize| {
            times
                .get(times.len().saturating_sub(1) * share / 100)
                .copied()
        };
        report.within(
            "  99 of 100 after",
            FAST,
            at(99).unwrap_or_default(),
            plan.timed,
        );
        report.tell(
            "  the last after",
            format!("{:.1?}", at(100).unwrap_or_default()),
        );
        report.at_least("  times measured", 1, times.len() as u64);
        if let Some(dials) = dials {
            report.at_most("most connections to one server in a second", DIALS, dials);
        }
        report.within(
            "95 of 100 calls are answered after",
            RECOVERED,
            recovery(&rest, started),
            plan.timed,
        );
        // While they go and come, a call may find none, and calls in flight when they went are lost.
        let (between, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|call| {
            call.began + call.took >= killed && call.began <= well && is_refusal(call)
        });
        report.tell(
            "calls that failed while servers went and came",
            between.len(),
        );
        let lost = |call: &Call| call.began <= gone && call.began + call.took >= killed;
        let (lost, rest): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|call| lost(call) && call.failure.is_some());
        report.tell("calls in flight when the servers went", lost.len());
        let event = |address: &String| Event::new(address, killed, gone);
        let events: Vec<_> = self.addresses.iter().map(event).collect();
        judge(&mut report, &rest, &executed, Some(&events));
        Ok(report)
    }
}

/// Whether no server was there for the call.
fn is_refusal(call: &Call) -> bool {
    matches!(
        call.failure.as_deref(),
        Some(Failure::Status {
            code: Code::Unavailable,
            outcome: Some(Outcome::NotSent),
            ..
        })
    )
}

/// How long after `started` the first 100 ms begin in which, as in all that follow, 95 of 100 calls are answered.
fn recovery(calls: &[Call], started: Instant) -> Duration {
    const STEP: Duration = Duration::from_millis(100);
    let mut steps: Vec<(u64, u64)> = Vec::new();
    for call in calls {
        let Some(after) = call.began.checked_duration_since(started) else {
            continue;
        };
        let step = (after.as_nanos() / STEP.as_nanos()) as usize;
        if steps.len() <= step {
            steps.resize(step + 1, (0, 0));
        }
        steps[step].0 += u64::from(call.failure.is_none());
        steps[step].1 += 1;
    }
    let bad = steps
        .iter()
        .rposition(|(answered, all)| answered * 100 < all * 95);
    bad.map_or(Duration::ZERO, |last| STEP * (last as u32 + 1))
}
