//! Statuses that handlers return.

use iip_rpc::{Code, Status};

use super::calls::large_call;
use super::streams;
use crate::interop::context::Context;
use crate::interop::proto::{DownloadRequest, FailWith, UnaryRequest};
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, failed_with, same};

const CODE: Code = Code::Unknown;

/// Requests that exceed whatever may be under way, 438 MiB.
const ENDLESS: usize = 10_000;

const SPECIAL: &str =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n";

fn check_status(status: &Status, message: &str) -> Result<(), Failure> {
    same("the message", status.message(), message)?;
    same("the outcome", status.outcome(), None)?;
    same("the details", status.details().len(), 0)
}

fn fail_with(message: &str) -> Option<FailWith> {
    Some(FailWith {
        code: CODE.into(),
        message: message.to_owned(),
    })
}

/// Has a unary call fail; returns its status.
async fn unary<T: Target>(context: &Context<T>, message: &str) -> Result<Status, Failure> {
    let request = UnaryRequest {
        fail_with: fail_with(message),
        ..UnaryRequest::default()
    };
    failed_with("a unary call", context.client.unary(request).await, CODE)
}

pub(in crate::interop) async fn status_code_and_message<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let message = "test status message";
    check_status(&unary(context, message).await?, message)?;

    let (requests, mut parts) = context.client.exchange(()).await?;
    let request = DownloadRequest {
        fail_with: fail_with(message),
        ..DownloadRequest::default()
    };
    requests.send(request).await?;
    // The call may have ended by now; then there is nothing to end.
    let _ = requests.finish().await;
    let status = failed_with("a call both ways", parts.message().await, CODE)?;
    check_status(&status, message)?;
    Ok("code 2 with its message, unary and both ways".into())
}

pub(in crate::interop) async fn special_status_message<T: Target>(context: &Context<T>) -> Verdict {
    let status = unary(context, SPECIAL).await?;
    check_status(&status, SPECIAL)?;
    // What a peer wrote does not begin a line of its own in a log.
    for shown in [format!("{status:?}"), status.to_string()] {
        check(!shown.contains(['\t', '\r', '\n']), || {
            format!("control characters stand in what is shown: {shown}")
        })?;
    }
    Ok("every character came back".into())
}

pub(in crate::interop) async fn early_status<T: Target>(context: &Context<T>) -> Verdict {
    let message = "no more of this";
    let (requests, mut parts) = context.client.exchange(()).await?;
    let last = DownloadRequest {
        fail_with: fail_with(message),
        ..streams::request(8, &[9])
    };
    requests.send(last).await?;
    // The caller goes on sending until it is told.
    let mut sent = 0;
    while sent < ENDLESS && requests.send(streams::request(45_904, &[9])).await.is_ok() {
        sent += 1;
    }
    check(sent < ENDLESS, || {
        format!("{ENDLESS} requests could be sent to a handler that had ended")
    })?;
    // A failure may overtake what was sent before it.
    let mut end = parts.message().await;
    if let Ok(Some(part)) = end {
        streams::check_part(Some(part), 9)?;
        end = parts.message().await;
    }
    let status = failed_with("the call", end, CODE)?;
    check_status(&status, message)?;
    large_call(&context.client).await?;
    Ok(format!("{sent} requests were sent after the one that failed the call").into())
}
