//! Many calls one after the other, on one channel or on a new one each.

use std::fmt;
use std::time::Duration;

use iip_rpc::Request;
use iip_rpc::tokio::task::JoinSet;
use iip_rpc::tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::calls::{check_reply, request};
use crate::interop::context::Context;
use crate::interop::proto::InteropClient;
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, same};

/// Which channel a call is made on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Channels {
    /// One for all calls.
    Shared,
    /// A new one for each call.
    New,
}

/// What came of the calls of one caller, or of all.
#[derive(Default)]
struct Tally {
    latencies: Vec<Duration>,
    failures: Vec<Failure>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures.extend(other.failures);
    }

    /// The latency that this part of the calls, in percent, did not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = self.latencies.get(last * percent / 100);
        at.copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calls, failures) = (self.latencies.len(), self.failures.len());
        let [median, p90, worst] = [50, 90, 100].map(|percent| self.percentile(percent));
        write!(
            f,
            "{calls} calls, {failures} failures; median {median:?}, p90 {p90:?}, worst {worst:?}"
        )
    }
}

/// One call.
async fn call<T: Target>(
    context: &Context<T>,
    channels: Channels,
    until: Instant,
) -> Result<(), Failure> {
    let client = match channels {
        Channels::Shared => context.client.clone(),
        Channels::New => InteropClient::new(context.target.connect().await?),
    };
    let soak = &context.soak;
    let size = usize::try_from(soak.request_size).unwrap_or(usize::MAX);
    let request = Request::new(request(size, soak.reply_size));
    let request = request.with_timeout(until.saturating_duration_since(Instant::now()));
    check_reply(client.unary(request).await?.get_ref(), soak.reply_size)
}

/// The calls of one caller.
async fn caller<T: Target>(
    context: Context<T>,
    channels: Channels,
    calls: u32,
    until: Instant,
) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..calls {
        let start = Instant::now();
        if start >= until {
            break;
        }
        let result = call(&context, channels, until).await;
        let latency = start.elapsed();
        tally.latencies.push(latency);
        let limit = context.soak.max_latency.unwrap_or(Duration::MAX);
        match result {
            Err(failure) => tally.failures.push(failure),
            Ok(()) if latency > limit => {
                let reason = format!("a call took {latency:?}, more than {limit:?}");
                tally.failures.push(Failure::new(reason));
            }
            Ok(()) => {}
        }
        if !context.soak.min_time_between.is_zero() {
            sleep_until((start + context.soak.min_time_between).min(until)).await;
        }
    }
    tally
}

/// All calls of a soak case, shared among its callers.
async fn soak<T: Target>(context: &Context<T>, channels: Channels, callers: u32) -> Verdict {
    let iterations = context.soak.iterations;
    let callers = callers.clamp(1, iterations.max(1));
    let until = Instant::now() + context.soak.overall_timeout;
    let mut running = JoinSet::new();
    for number in 0..callers {
        let calls = iterations / callers + u32::from(number < iterations % callers);
        running.spawn(caller(context.clone(), channels, calls, until));
    }
    let mut all = Tally::default();
    while let Some(tally) = running.join_next().await {
        match tally {
            Ok(tally) => all.add(tally),
            Err(error) => return Err(Failure::new(format!("a caller panicked: {error}"))),
        }
    }
    all.latencies.sort_unstable();
    let done = u32::try_from(all.latencies.len()).unwrap_or(u32::MAX);
    same("calls made before the time was over", done, iterations)?;
    match all.failures.get(context.soak.max_failures as usize) {
        Some(failure) => Err(Failure::new(format!("{all}; one of them: {failure}"))),
        None => Ok(all.to_string().into()),
    }
}

pub(in crate::interop) async fn rpc_soak<T: Target>(context: &Context<T>) -> Verdict {
    soak(context, Channels::Shared, 1).await
}

pub(in crate::interop) async fn channel_soak<T: Target>(context: &Context<T>) -> Verdict {
    soak(context, Channels::New, 1).await
}

pub(in crate::interop) async fn rpc_soak_concurrent<T: Target>(context: &Context<T>) -> Verdict {
    soak(context, Channels::Shared, context.soak.callers).await
}

pub(in crate::interop) async fn channel_soak_concurrent<T: Target>(
    context: &Context<T>,
) -> Verdict {
    soak(context, Channels::New, context.soak.callers).await
}

pub(in crate::interop) async fn long_lived_channel<T: Target>(context: &Context<T>) -> Verdict {
    let soak = &context.soak;
    // A channel of its own, so that nothing else keeps it alive between two calls.
    let client = InteropClient::new(context.target.connect().await?);
    let size = usize::try_from(soak.request_size).unwrap_or(usize::MAX);
    // There is no interval of nothing.
    let mut ticks = interval(soak.interval.max(Duration::from_nanos(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..soak.interval_calls {
        ticks.tick().await;
        let reply = client.unary(request(size, soak.reply_size)).await?;
        check_reply(reply.get_ref(), soak.reply_size)?;
    }
    let (calls, pause) = (soak.interval_calls, soak.interval);
    Ok(format!("{calls} calls, one each {pause:?}").into())
}
