//! What travels beside messages.

use iip_rpc::{Code, Metadata, Request};

use super::calls::check_reply;
use super::{calls, streams};
use crate::interop::context::Context;
use crate::interop::proto::UnaryRequest;
use crate::interop::service::{ECHO_INITIAL, ECHO_TRAILING};
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, failed_with, same};
use crate::interop::{TOKEN, USER};

const INITIAL: &str = "test_initial_metadata_value";
const TRAILING: &[u8] = &[0xab, 0xab, 0xab];

fn with_metadata<M>(message: M) -> Request<M> {
    Request::new(message)
        .with_metadata(ECHO_INITIAL, INITIAL)
        .with_metadata(ECHO_TRAILING, TRAILING)
}

fn check_echo(initial: &Metadata, trailers: &Metadata) -> Result<(), Failure> {
    same("initial metadata", initial.get(ECHO_INITIAL), Some(INITIAL))?;
    let trailing = trailers.get_bytes(ECHO_TRAILING);
    same("trailing metadata", trailing, Some(TRAILING))?;
    same("entries of the initial metadata", initial.len(), 1)?;
    same("entries of the trailing metadata", trailers.len(), 1)
}

pub(in crate::interop) async fn custom_metadata<T: Target>(context: &Context<T>) -> Verdict {
    let request = with_metadata(calls::request(271_828, 314_159));
    let reply = context.client.unary(request).await?;
    check_reply(reply.get_ref(), 314_159)?;
    check_echo(reply.metadata(), reply.trailers())?;

    let (requests, mut parts) = context.client.exchange(with_metadata(())).await?;
    requests.send(streams::request(271_828, &[314_159])).await?;
    streams::check_part(parts.message().await?, 314_159)?;
    // The initial metadata is there before the end.
    let initial = parts.metadata().clone();
    same("initial metadata", initial.get(ECHO_INITIAL), Some(INITIAL))?;
    requests.finish().await?;
    check(parts.message().await?.is_none(), || {
        "a second part came".to_owned()
    })?;
    check_echo(&initial, parts.trailers())?;
    Ok("text ahead, bytes behind; unary and both ways".into())
}

pub(in crate::interop) async fn per_rpc_creds<T: Target>(context: &Context<T>) -> Verdict {
    let asking = || {
        Request::new(UnaryRequest {
            name_user: true,
            ..UnaryRequest::default()
        })
    };
    let with_token =
        |token: &str| asking().with_metadata("authorization", format!("Bearer {token}"));
    check(!format!("{:?}", with_token(TOKEN)).contains(TOKEN), || {
        "the request shows its token".to_owned()
    })?;
    let reply = context.client.unary(with_token(TOKEN)).await?;
    same("the user", reply.get_ref().user.as_str(), USER)?;
    // The token was that call's, not the channel's.
    let result = context.client.unary(asking()).await;
    failed_with("a call without a token", result, Code::Unauthenticated)?;
    let result = context.client.unary(with_token("forged")).await;
    failed_with("a call with another token", result, Code::Unauthenticated)?;
    Ok(format!("the call was made for {USER}").into())
}
