use std::io;
use std::path::Path;
use std::time::Duration;

use iip_rpc::Channel;
use iip_rpc::client::Retry;
use iip_rpc::iip_core::client::BackoffConfig;

use super::judge::{judge, tell_latency};
use super::load::Load;
use super::plan::Plan;
use super::proxy::{Cutting, Proxy};
use super::report::Report;
use super::servers::Servers;

/// Bytes that a connection carries at most in the direction in which it is cut: about 30 calls.
const BYTES: u64 = 32 * 1024;

/// Calls in progress at a time.
const CALLERS: usize = 12;

/// Cuts every connection after a random number of bytes.
///
/// # Errors
///
/// A process cannot be started, or the callers come to a standstill.
pub async fn cuts(program: &Path, plan: &Plan) -> io::Result<Report> {
    let servers = Servers::start(program).await?;
    let mut proxies = Vec::new();
    for address in servers.addresses() {
        proxies.push(Proxy::start(address, Cutting::Within(BYTES)).await?);
    }
    let addresses: Vec<_> = proxies.iter().map(Proxy::address).collect();
    // One call in four is hit, and so is one attempt in four: twenty in a row never are.
    let retry = Retry::safe()
        .attempts(20)
        .backoff(Duration::from_millis(1), Duration::from_millis(10))
        .budget(1.0)
        .budget_floor(10_000)
        .tokens(1_000, 1.0);
    // A connection is made again at once, though none lasts.
    let backoff = BackoffConfig::default()
        .min(Duration::from_millis(1))
        .base(Duration::from_millis(1))
        .max(Duration::from_millis(5));
    let channel = Channel::builder(addresses.join(","))
        .timeout(plan.timeout)
        .retry(retry)
        .backoff(backoff)
        .wait_for_ready()
        .connect()
        .await
        .map_err(io::Error::other)?;
    let load = Load::callers(CALLERS, &channel);
    let cut = || proxies.iter().map(Proxy::cuts).sum::<u64>();
    while cut() < plan.cuts {
        load.progress(100).await?;
    }
    let calls = load.end().await?;
    drop(channel);
    let executed = servers.end()?;
    let mut report = Report::new("cuts");
    report.at_least("connections cut", plan.cuts, cut());
    judge(&mut report, &calls, &executed, None);
    tell_latency(&mut report, &calls);
    Ok(report)
}
