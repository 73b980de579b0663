//! All cases by name.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use iip_rpc::tokio::time::timeout;

use super::cases::{calls, compression, crowds, flow, giving_up, metadata, soak, status, streams};
use super::context::Context;
use super::target::Target;
use super::verdict::{Failure, Verdict};

/// How long a case may take: only one that hangs ends by it.
const GUARD: Duration = Duration::from_secs(200);

macro_rules! cases {
    ($($group:ident: $($name:ident)*;)*) => {
        /// The names of all cases, in the order in which they run.
        pub const NAMES: &[&str] = &[$($(stringify!($name)),*),*];

        fn case<'a, T: Target>(
            name: &str,
            context: &'a Context<T>,
        ) -> Option<Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>> {
            match name {
                $($(stringify!($name) => Some(Box::pin($group::$name(context))),)*)*
                _ => None,
            }
        }
    };
}

cases! {
    calls: empty_unary large_unary very_large_request unimplemented_method unimplemented_service;
    streams: client_streaming server_streaming ping_pong empty_stream;
    compression: client_compressed_unary server_compressed_unary client_compressed_streaming
        server_compressed_streaming;
    metadata: custom_metadata per_rpc_creds;
    status: status_code_and_message special_status_message early_status;
    giving_up: cancel_after_begin cancel_after_sent_message cancel_after_first_response
        timeout_on_sleeping_server;
    crowds: concurrent_large_unary concurrent_streams concurrent_timeouts;
    flow: flow_control_pushback_server flow_control_pushback_client;
    soak: rpc_soak channel_soak rpc_soak_concurrent channel_soak_concurrent long_lived_channel;
}

/// Runs the case of this name.
///
/// # Errors
///
/// Why it did not pass; also when there is no case of this name, or when it does not end within 200 s.
///
/// # Cancel safety
///
/// Dropping the future cancels its calls.
pub async fn run<T: Target>(name: &str, context: &Context<T>) -> Verdict {
    let Some(case) = case(name, context) else {
        let names = NAMES.join(", ");
        let reason = format!("there is no case {name:?}; there are {names}");
        return Err(Failure::new(reason));
    };
    match timeout(GUARD, case).await {
        Ok(verdict) => verdict,
        Err(_) => Err(Failure::new(format!("it hangs: no end within {GUARD:?}"))),
    }
}

/// Runs all cases, one after the other.
///
/// # Cancel safety
///
/// Dropping the future cancels the calls of the case that runs.
pub async fn run_all<T: Target>(context: &Context<T>) -> Vec<(&'static str, Verdict)> {
    let mut verdicts = Vec::new();
    for &name in NAMES {
        verdicts.push((name, run(name, context).await));
    }
    verdicts
}
