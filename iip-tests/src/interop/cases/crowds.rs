//! Many calls at the same time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use iip_rpc::tokio::sync::Barrier;
use iip_rpc::tokio::task::JoinSet;
use iip_rpc::{Code, Outcome, Request};

use super::calls::large_call;
use super::streams::{check_part, request};
use crate::interop::context::Context;
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, failed_with};

/// Large calls at the same time, and calls that all expire.
const CALLS: usize = 1000;

/// Calls one after the other that may be refused while the expired ones are cleared away.
const MOST_REFUSED: usize = 1000;

/// Streams open at the same time: more than one connection has channels (2,048).
const STREAMS: usize = 3000;

/// Runs `count` callers at the same time.
async fn crowd<F>(count: usize, caller: impl Fn() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut callers = JoinSet::new();
    for _ in 0..count {
        callers.spawn(caller());
    }
    let mut failures = Vec::new();
    while let Some(caller) = callers.join_next().await {
        match caller {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => failures.push(failure),
            Err(error) => return Err(Failure::new(format!("a caller panicked: {error}"))),
        }
    }
    match failures.first() {
        None => Ok(()),
        Some(first) => Err(Failure::new(format!(
            "{} of {count} calls failed, the first: {first}",
            failures.len()
        ))),
    }
}

pub(in crate::interop) async fn concurrent_large_unary<T: Target>(context: &Context<T>) -> Verdict {
    crowd(CALLS, || {
        let client = context.client.clone();
        async move { large_call(&client).await }
    })
    .await?;
    Ok(format!("{CALLS} calls at the same time").into())
}

pub(in crate::interop) async fn concurrent_streams<T: Target>(context: &Context<T>) -> Verdict {
    let all_open = Arc::new(Barrier::new(STREAMS));
    crowd(STREAMS, || {
        let client = context.client.clone();
        let all_open = Arc::clone(&all_open);
        async move {
            let opened = async {
                let (requests, mut parts) = client.exchange(()).await?;
                requests.send(request(8, &[9])).await?;
                check_part(parts.message().await?, 9)?;
                Ok::<_, Failure>((requests, parts))
            };
            let opened = opened.await;
            // Also those that failed come here, so that the others do not wait for them.
            all_open.wait().await;
            let (requests, mut parts) = opened?;
            requests.send(request(8, &[9])).await?;
            check_part(parts.message().await?, 9)?;
            requests.finish().await?;
            check(parts.message().await?.is_none(), || {
                "a third part came".to_owned()
            })
        }
    })
    .await?;
    Ok(format!("{STREAMS} streams open at the same time").into())
}

pub(in crate::interop) async fn concurrent_timeouts<T: Target>(context: &Context<T>) -> Verdict {
    crowd(CALLS, || {
        let client = context.client.clone();
        async move {
            let call = async {
                let open = Request::new(()).with_timeout(Duration::from_millis(1));
                let (requests, mut parts) = client.exchange(open).await?;
                // Where the call is over by now, the other half says why.
                let _ = requests.send(request(8, &[])).await;
                parts.message().await
            };
            failed_with("a call", call.await, Code::DeadlineExceeded)?;
            Ok(())
        }
    })
    .await?;
    // While handlers that are being stopped are more than a connection may have, it refuses further calls without
    // running them.
    let mut refused = 0;
    loop {
        match context.client.empty(()).await {
            Ok(_) => break,
            Err(status) if status.outcome() == Some(Outcome::NotProcessed) => refused += 1,
            Err(status) => return Err(status.into()),
        }
        check(refused < MOST_REFUSED, || {
            format!("{refused} calls were refused after those that expired")
        })?;
    }
    large_call(&context.client).await?;
    Ok(format!("{CALLS} calls expired at the same time; {refused} were refused then").into())
}
