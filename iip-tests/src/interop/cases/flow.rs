//! Senders that wait for their receivers. Nothing is timed: what counts is how much was sent when the sender stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iip_rpc::Status;
use iip_rpc::tokio::task::{JoinSet, spawn, yield_now};

use super::streams::{check_part, request};
use crate::interop::context::Context;
use crate::interop::proto::watch_reply::End;
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, same};

/// Size of a part, bytes, and how many there are: 32 MiB in all.
const PART: u32 = 16 * 1024;
const PARTS: usize = 2048;

/// Most parts that may be under way while nobody reads: 8 MiB, well above what windows and queues hold and well below
/// all of them.
const MOST: u64 = 512;

/// How often in a row a count is the same when its sender has stopped.
const SAME: usize = 64;

/// Asks for a count until it stays the same. A sender that nothing holds back reaches its end meanwhile.
async fn settled<T: Target>(
    context: &Context<T>,
    call: &str,
    count: impl Fn(u64) -> u64,
) -> Result<u64, Failure> {
    let (mut last, mut times) = (0, 0);
    while times < SAME {
        // Without a connection a question gives nobody else a turn.
        let _ = spawn(yield_now()).await;
        // Each question is a unary call beside the stalled one: it shows that others are not held up.
        let now = count(context.progress(call).await?.sent);
        times = if now == last && now > 0 { times + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

fn check_held_back(who: &str, count: u64) -> Result<(), Failure> {
    check(count > 0, || format!("{who} sent nothing"))?;
    check(count <= MOST, || {
        format!("{who} sent {count} of {PARTS} parts of {PART} bytes while nobody read")
    })
}

pub(in crate::interop) async fn flow_control_pushback_server<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let (named, call) = context.named(request(0, &[PART; PARTS]));
    let mut parts = context.client.download(named).await?.into_inner();
    check_part(parts.message().await?, PART)?;
    let sent = settled(context, &call, |sent| sent).await?;
    check_held_back("the server", sent)?;
    for _ in 1..PARTS {
        check_part(parts.message().await?, PART)?;
    }
    check(parts.message().await?.is_none(), || {
        "more parts came than were asked for".to_owned()
    })?;
    let reply = context.ended(&call).await?;
    same("how the handler ended", reply.end(), End::Returned)?;
    same("parts sent in the end", reply.sent, PARTS as u64)?;
    Ok(format!("the server sent {sent} of {PARTS} parts while nobody read").into())
}

pub(in crate::interop) async fn flow_control_pushback_client<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let (named, call) = context.named(());
    let (requests, mut parts) = context.client.exchange(named).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    // Nobody reads the answers, so the server stops reading the requests, and the client has to stop as well.
    let mut sender = JoinSet::new();
    sender.spawn(async move {
        for _ in 0..PARTS {
            requests.send(request(PART as usize, &[PART])).await?;
            counter.fetch_add(1, Ordering::Relaxed);
        }
        requests.finish().await?;
        Ok::<(), Status>(())
    });
    check_part(parts.message().await?, PART)?;
    let count = settled(context, &call, |_| sent.load(Ordering::Relaxed)).await?;
    check_held_back("the client", count)?;
    check_held_back("the server", context.progress(&call).await?.sent)?;
    for _ in 1..PARTS {
        check_part(parts.message().await?, PART)?;
    }
    check(parts.message().await?.is_none(), || {
        "more parts came than were asked for".to_owned()
    })?;
    match sender.join_next().await {
        Some(Ok(result)) => result?,
        other => return Err(Failure::new(format!("the sender panicked: {other:?}"))),
    }
    let reply = context.ended(&call).await?;
    same("how the handler ended", reply.end(), End::Returned)?;
    same("requests received in the end", reply.received, PARTS as u64)?;
    Ok(format!("the client sent {count} of {PARTS} requests while nobody read").into())
}
