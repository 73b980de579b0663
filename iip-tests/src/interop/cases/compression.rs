//! Messages that are compressed or not, each by itself, and seen so by who receives them.

use iip_rpc::{Code, Compression, Request, RpcService, Status};

use super::calls::check_reply;
use super::streams::check_part;
use crate::interop::context::Context;
use crate::interop::proto::{
    DownloadRequest, InteropClient, Packing, PartRequest, Payload, UnaryRequest, UploadPart,
};
use crate::interop::target::Target;
use crate::interop::verdict::{Failure, Note, Verdict, check, failed_with, same};

/// Payloads of unary requests and replies, bytes.
const REQUEST: usize = 271_828;
const REPLY: u32 = 314_159;

/// Payloads of an upload, bytes.
const PARTS: [(usize, Packing); 2] = [
    (27_182, Packing::Compressed),
    (45_904, Packing::Uncompressed),
];

/// Payloads of a download, bytes.
const REPLIES: [(u32, Packing); 2] = [
    (31_415, Packing::Compressed),
    (92_653, Packing::Uncompressed),
];

/// What a case without a connection says.
const NOTHING_TO_SEE: &str = "sizes; nothing is compressed without a connection";

/// A request that says `packing` of itself and travels as `compression` says.
fn unary(packing: Packing, compression: Compression) -> Request<UnaryRequest> {
    Request::new(UnaryRequest {
        payload: Some(Payload::of(REQUEST)),
        reply_size: REPLY,
        packing: packing.into(),
        ..UnaryRequest::default()
    })
    .with_compression(compression)
}

/// An upload of one part that says it is compressed and is not.
async fn upload_probe<S: RpcService>(client: &InteropClient<S>) -> Result<(), Status> {
    let (parts, reply) = client.upload(()).await?;
    parts.set_compression(Compression::Never);
    let part = UploadPart {
        payload: Some(Payload::of(PARTS[0].0)),
        packing: Packing::Compressed.into(),
    };
    parts.send(part).await?;
    parts.finish().await?;
    reply.await.map(|_| ())
}

pub(in crate::interop) async fn client_compressed_unary<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let client = &context.client;
    let result = client
        .unary(unary(Packing::Compressed, Compression::Never))
        .await;
    failed_with("a false claim", result, Code::InvalidArgument)?;
    if !context.target.compresses() {
        let reply = client
            .unary(unary(Packing::Any, Compression::Always))
            .await?;
        check_reply(reply.get_ref(), REPLY)?;
        return Ok(NOTHING_TO_SEE.into());
    }
    for packing in [Packing::Compressed, Packing::Uncompressed] {
        let reply = client.unary(unary(packing, packing.compression())).await?;
        check_reply(reply.get_ref(), REPLY)?;
    }
    let result = client
        .unary(unary(Packing::Uncompressed, Compression::Always))
        .await;
    failed_with("the other false claim", result, Code::InvalidArgument)?;
    Ok("compressed, uncompressed; false claims are INVALID_ARGUMENT".into())
}

pub(in crate::interop) async fn server_compressed_unary<T: Target>(
    context: &Context<T>,
) -> Verdict {
    for packing in [Packing::Compressed, Packing::Uncompressed] {
        let request = UnaryRequest {
            payload: Some(Payload::of(REQUEST)),
            reply_size: REPLY,
            reply_packing: packing.into(),
            ..UnaryRequest::default()
        };
        let reply = context.client.unary(request).await?;
        check_reply(reply.get_ref(), REPLY)?;
        arrived(
            "the reply",
            packing,
            reply.was_compressed(),
            &context.target,
        )?;
    }
    Ok(seen(&context.target, "compressed, uncompressed"))
}

pub(in crate::interop) async fn client_compressed_streaming<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let client = &context.client;
    let probe = upload_probe(client).await;
    failed_with("a false claim", probe, Code::InvalidArgument)?;
    let compresses = context.target.compresses();
    let (parts, reply) = client.upload(()).await?;
    for (size, packing) in PARTS {
        parts.set_compression(packing.compression());
        let claim = if compresses { packing } else { Packing::Any };
        let part = UploadPart {
            payload: Some(Payload::of(size)),
            packing: claim.into(),
        };
        parts.send(part).await?;
    }
    parts.finish().await?;
    same(
        "bytes counted",
        reply.await?.into_inner().total_size,
        73_086,
    )?;
    Ok(seen(&context.target, "27182 compressed + 45904 = 73086"))
}

pub(in crate::interop) async fn server_compressed_streaming<T: Target>(
    context: &Context<T>,
) -> Verdict {
    let part = |(size, packing): (u32, Packing)| PartRequest {
        size,
        packing: packing.into(),
        ..PartRequest::default()
    };
    let request = DownloadRequest {
        parts: REPLIES.into_iter().map(part).collect(),
        ..DownloadRequest::default()
    };
    let mut parts = context.client.download(request).await?.into_inner();
    for (size, packing) in REPLIES {
        check_part(parts.message().await?, size)?;
        arrived("a part", packing, parts.was_compressed(), &context.target)?;
    }
    check(parts.message().await?.is_none(), || {
        "a third part came".to_owned()
    })?;
    Ok(seen(&context.target, "31415 compressed, 92653"))
}

/// Fails unless a message came as the server was asked to send it.
fn arrived(
    what: &str,
    packing: Packing,
    was_compressed: bool,
    target: &impl Target,
) -> Result<(), Failure> {
    let expected = target.compresses() && packing == Packing::Compressed;
    let what = format!("{what}, to be {packing:?}, came compressed");
    same(&what, was_compressed, expected)
}

fn seen(target: &impl Target, note: &'static str) -> Note {
    match target.compresses() {
        true => note.into(),
        false => NOTHING_TO_SEE.into(),
    }
}
