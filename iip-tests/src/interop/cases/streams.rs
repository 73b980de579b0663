//! The streaming methods, message by message.

use iip_rpc::RpcService;

use crate::interop::context::Context;
use crate::interop::payload::intact;
use crate::interop::proto::{
    DownloadPart, DownloadRequest, InteropClient, Packing, PartRequest, Payload, UploadPart,
};
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Verdict, check, same};

/// Payloads of the requests and of the replies of the streaming cases, bytes.
const REQUESTS: [usize; 4] = [27_182, 8, 1_828, 45_904];
const REPLIES: [u32; 4] = [31_415, 9, 2_653, 58_979];

/// A request of a payload of `size` bytes that asks for parts of these sizes.
pub(super) fn request(size: usize, parts: &[u32]) -> DownloadRequest {
    let pause_us = 0;
    let packing = Packing::Any.into();
    let part = |&size: &u32| PartRequest {
        size,
        pause_us,
        packing,
    };
    DownloadRequest {
        parts: parts.iter().map(part).collect(),
        payload: Some(Payload::of(size)),
        fail_with: None,
    }
}

/// Fails unless a part came, of this size.
pub(super) fn check_part(part: Option<DownloadPart>, size: u32) -> Result<(), Failure> {
    let part = part.ok_or_else(|| Failure::new("the stream ended too early"))?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    intact("a part", part.payload.as_ref(), size)
}

/// Uploads parts of these sizes; returns what the server has counted.
async fn upload<S: RpcService>(client: &InteropClient<S>, sizes: &[usize]) -> Result<u64, Failure> {
    let (parts, reply) = client.upload(()).await?;
    for &size in sizes {
        let payload = Some(Payload::of(size));
        let part = UploadPart {
            payload,
            ..UploadPart::default()
        };
        parts.send(part).await?;
    }
    parts.finish().await?;
    Ok(reply.await?.into_inner().total_size)
}

pub(in crate::interop) async fn client_streaming<T: Target>(context: &Context<T>) -> Verdict {
    let total = upload(&context.client, &REQUESTS).await?;
    same("bytes counted", total, 74_922)?;
    Ok("27182 + 8 + 1828 + 45904 = 74922".into())
}

pub(in crate::interop) async fn server_streaming<T: Target>(context: &Context<T>) -> Verdict {
    let mut parts = context
        .client
        .download(request(0, &REPLIES))
        .await?
        .into_inner();
    for size in REPLIES {
        check_part(parts.message().await?, size)?;
    }
    check(parts.message().await?.is_none(), || {
        "a fifth part came".to_owned()
    })?;
    Ok("31415, 9, 2653, 58979".into())
}

pub(in crate::interop) async fn ping_pong<T: Target>(context: &Context<T>) -> Verdict {
    let (requests, mut parts) = context.client.exchange(()).await?;
    for (size, reply) in REQUESTS.into_iter().zip(REPLIES) {
        requests.send(request(size, &[reply])).await?;
        check_part(parts.message().await?, reply)?;
    }
    requests.finish().await?;
    check(parts.message().await?.is_none(), || {
        "a fifth part came".to_owned()
    })?;
    Ok("4 rounds".into())
}

pub(in crate::interop) async fn empty_stream<T: Target>(context: &Context<T>) -> Verdict {
    let (requests, mut parts) = context.client.exchange(()).await?;
    requests.finish().await?;
    check(parts.message().await?.is_none(), || {
        "a part came for no request".to_owned()
    })?;
    let parts = context.client.download(request(0, &[])).await?;
    check(parts.into_inner().message().await?.is_none(), || {
        "a part came for none asked for".to_owned()
    })?;
    let total = upload(&context.client, &[]).await?;
    same("bytes counted", total, 0)?;
    Ok("no messages, in any direction".into())
}
