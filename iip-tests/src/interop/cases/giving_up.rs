//! Calls that their caller gives up.

use std::time::Duration;

use iip_rpc::tokio::task::JoinSet;
use iip_rpc::{Code, Request};

use super::streams::{check_part, request};
use crate::interop::context::Context;
use crate::interop::proto::watch_reply::End;
use crate::interop::proto::{Payload, UploadPart};
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, failed_with};

/// Waits until the handler of the call has ended, and fails if it ended as if the call were complete.
async fn check_stopped<T: Target>(context: &Context<T>, call: &str) -> Result<(), Failure> {
    let reply = context.ended(call).await?;
    let told = reply.end() == End::Returned && reply.code == Code::Cancelled.as_i32();
    check(told || reply.end() == End::Stopped, || {
        format!("the handler did not notice: {reply:?}")
    })
}

pub(in crate::interop) async fn cancel_after_begin<T: Target>(context: &Context<T>) -> Verdict {
    let (parts, reply) = context.client.upload(()).await?;
    drop(parts);
    failed_with("the reply", reply.await, Code::Cancelled)?;
    context.client.empty(()).await?;
    Ok("CANCELLED".into())
}

pub(in crate::interop) async fn cancel_after_sent_message<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let (named, call) = context.named(());
    let (parts, reply) = context.client.upload(named).await?;
    let mut waiting = JoinSet::new();
    waiting.spawn(reply);
    let payload = Some(Payload::of(27_182));
    let part = UploadPart {
        payload,
        ..UploadPart::default()
    };
    parts.send(part).await?;
    context.received(&call, 1).await?;
    drop(parts);
    match waiting.join_next().await {
        Some(Ok(reply)) => failed_with("the reply", reply, Code::Cancelled)?,
        other => return Err(Failure::new(format!("the caller panicked: {other:?}"))),
    };
    check_stopped(context, &call).await?;
    Ok("CANCELLED, and the handler was stopped".into())
}

pub(in crate::interop) async fn cancel_after_first_response<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let (named, call) = context.named(());
    let (requests, mut parts) = context.client.exchange(named).await?;
    requests.send(request(27_182, &[31_415])).await?;
    check_part(parts.message().await?, 31_415)?;
    drop(requests);
    failed_with("the next part", parts.message().await, Code::Cancelled)?;
    check_stopped(context, &call).await?;

    // The same by dropping what the caller reads from.
    let (named, call) = context.named(());
    let (requests, mut parts) = context.client.exchange(named).await?;
    requests.send(request(27_182, &[31_415])).await?;
    check_part(parts.message().await?, 31_415)?;
    drop(parts);
    check_stopped(context, &call).await?;
    let result = requests.send(request(27_182, &[31_415])).await;
    failed_with("a request after that", result, Code::Cancelled)?;
    Ok("CANCELLED, and the handler was stopped".into())
}

pub(in crate::interop) async fn timeout_on_sleeping_server<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let timeout = Duration::from_millis(1);
    let call = async {
        let open = Request::new(()).with_timeout(timeout);
        let (requests, mut parts) = context.client.exchange(open).await?;
        // The server answers nothing and waits for what comes next: nothing does.
        // Where the call is over by now, the other half says why.
        let _ = requests.send(request(27_182, &[])).await;
        parts.message().await
    };
    failed_with("the call", call.await, Code::DeadlineExceeded)?;
    context.client.empty(()).await?;
    Ok("DEADLINE_EXCEEDED".into())
}
