//! Unary calls of all sizes, and of methods that are not there.

use iip_rpc::{
    Code, Idempotency, MethodDescriptor, MethodKind, Outcome, Request, RpcService, client,
};

use crate::interop::context::Context;
use crate::interop::payload::intact;
use crate::interop::proto::{InteropClient, Payload, UnaryReply, UnaryRequest, UnservedClient};
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, failed_with, same};

/// Sizes of a large call's payloads, bytes.
const LARGE_REQUEST: usize = 271_828;
const LARGE_REPLY: u32 = 314_159;

/// Payload of a request that the default limits refuse, bytes.
const VERY_LARGE: usize = 10 * 1024 * 1024;

/// A method that the service does not have.
static NOT_THERE: MethodDescriptor = MethodDescriptor::new(
    "/interop.Interop/NotThere",
    MethodKind::Unary,
    Idempotency::Unknown,
);

/// A unary request with a payload.
pub(super) fn request(size: usize, reply_size: u32) -> UnaryRequest {
    UnaryRequest {
        payload: Some(Payload::of(size)),
        reply_size,
        ..UnaryRequest::default()
    }
}

/// Fails unless the reply is what was asked for.
pub(super) fn check_reply(reply: &UnaryReply, size: u32) -> Result<(), Failure> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    intact("the reply", reply.payload.as_ref(), size)
}

/// A large call, and its check.
pub(super) async fn large_call<S: RpcService>(client: &InteropClient<S>) -> Result<(), Failure> {
    let reply = client.unary(request(LARGE_REQUEST, LARGE_REPLY)).await?;
    check_reply(reply.get_ref(), LARGE_REPLY)
}

pub(in crate::interop) async fn empty_unary<T: Target>(context: &Context<T>) -> Verdict {
    let reply = context.client.empty(()).await?;
    check(reply.metadata().is_empty(), || {
        format!("metadata from nowhere: {:?}", reply.metadata())
    })?;
    Ok("nothing there, nothing back".into())
}

pub(in crate::interop) async fn large_unary<T: Target>(context: &Context<T>) -> Verdict {
    large_call(&context.client).await?;
    Ok(format!("{LARGE_REQUEST} bytes there, {LARGE_REPLY} back").into())
}

pub(in crate::interop) async fn very_large_request<T: Target>(context: &Context<T>) -> Verdict {
    let reply = context.client.unary(request(VERY_LARGE, 10)).await?;
    check_reply(reply.get_ref(), 10)?;
    let Some(limit) = context.target.max_message() else {
        return Ok(format!("{VERY_LARGE} bytes there; no limit to test").into());
    };
    let result = context.client.unary(request(limit, 10)).await;
    let status = failed_with("a request over the limit", result, Code::ResourceExhausted)?;
    same("its outcome", status.outcome(), Some(Outcome::NotSent))?;
    // A reply of a payload this large exceeds the limit by its own header.
    let reply_size = u32::try_from(limit - 1).unwrap_or(u32::MAX);
    let result = context.client.unary(request(10, reply_size)).await;
    failed_with("a reply over the limit", result, Code::ResourceExhausted)?;
    large_call(&context.client).await?;
    Ok(format!("{VERY_LARGE} bytes there; {limit} are refused").into())
}

pub(in crate::interop) async fn unimplemented_method<T: Target>(context: &Context<T>) -> Verdict {
    let result = client::unary::<_, (), ()>(&context.service, &NOT_THERE, Request::new(())).await;
    let status = failed_with("an unknown method", result, Code::Unimplemented)?;
    let outcome = status.outcome();
    same("its outcome", outcome, Some(Outcome::NotProcessed))?;
    context.client.empty(()).await?;
    Ok("UNIMPLEMENTED".into())
}

pub(in crate::interop) async fn unimplemented_service<T: Target>(context: &Context<T>) -> Verdict {
    let result = UnservedClient::new(context.service.clone()).call(()).await;
    let status = failed_with("an unknown service", result, Code::Unimplemented)?;
    let outcome = status.outcome();
    same("its outcome", outcome, Some(Outcome::NotProcessed))?;
    context.client.empty(()).await?;
    Ok("UNIMPLEMENTED".into())
}
