//! The server that all cases call.

use std::io;
use std::time::Duration;

use iip_rpc::{Code, Metadata, Request, Response, Sender, Server, Status, Streaming, tokio};

use super::ledger::{Ledger, Line};
use super::packing::{COMPRESS_FROM, ENCODING};
use super::payload::body;
use super::proto::{
    DownloadPart, DownloadRequest, FailWith, Interop, InteropServer, Payload, UnaryReply,
    UnaryRequest, UploadPart, UploadReply, WatchReply, WatchRequest,
};

/// Largest message that server and clients of the suite accept, bytes. It leaves room above the 10 MiB of
/// `very_large_request`.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// The token that `per_rpc_creds` sends with each call.
pub const TOKEN: &str = "interop-token-6f1c";

/// Whom [`TOKEN`] belongs to.
pub const USER: &str = "interop-user@iip-rpc.example";

/// The metadata that comes back ahead of the first message.
pub(super) const ECHO_INITIAL: &str = "x-interop-echo-initial";

/// The metadata that comes back after the last message.
pub(super) const ECHO_TRAILING: &str = "x-interop-echo-trailing-bin";

/// Longest time a call may take: far more than any needs on a busy machine, so that only a call that hangs ends by it.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// The service's implementation.
#[derive(Clone, Debug, Default)]
pub struct TestService {
    ledger: Ledger,
}

/// A server of the suite on `address`.
///
/// # Errors
///
/// The address is none or cannot be listened on.
///
/// # Cancel safety
///
/// Dropping the future closes what was opened.
pub async fn bind(address: &str) -> io::Result<Server> {
    Server::builder()
        .max_message(MAX_MESSAGE)
        .default_timeout(PATIENCE)
        .compress(ENCODING)
        .compress_from(COMPRESS_FROM)
        .add_service(InteropServer::new(TestService::default()))
        .bind(address)
        .await
}

/// The values of `key` in the request's metadata.
fn picked(metadata: &Metadata, key: &str) -> Result<Metadata, Status> {
    let mut picked = Metadata::new();
    for value in metadata.get_all(key) {
        picked.append(key, value.clone())?;
    }
    Ok(picked)
}

/// Fails as the caller asks for.
fn fail_if_asked(fail_with: Option<&FailWith>) -> Result<(), Status> {
    match fail_with {
        Some(asked) if asked.code != 0 => {
            let message = asked.message.clone();
            Err(Status::new(Code::from_i32(asked.code), message))
        }
        _ => Ok(()),
    }
}

/// A payload of a size that the caller asks for.
fn payload(size: u32) -> Result<Payload, Status> {
    match usize::try_from(size) {
        Ok(size) if size < MAX_MESSAGE => Ok(Payload::of(size)),
        _ => Err(Status::invalid_argument(format!(
            "a payload has less than {MAX_MESSAGE} bytes"
        ))),
    }
}

fn check_received(payload: Option<&Payload>) -> Result<(), Status> {
    match payload {
        Some(payload) if !payload.is_intact() => {
            Err(Status::data_loss("the payload has other bytes"))
        }
        _ => Ok(()),
    }
}

/// Whose token came with the request.
fn user(metadata: &Metadata) -> Result<String, Status> {
    let token = metadata
        .get("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(TOKEN) => Ok(USER.to_owned()),
        Some(_) => Err(Status::unauthenticated("the token belongs to nobody")),
        None => Err(Status::unauthenticated("the call carries no token")),
    }
}

/// Answers one request of a download.
async fn send_parts(
    request: &DownloadRequest,
    out: &Sender<DownloadPart>,
    line: &Line,
) -> Result<(), Status> {
    check_received(request.payload.as_ref())?;
    for part in &request.parts {
        if part.pause_us > 0 {
            tokio::time::sleep(Duration::from_micros(part.pause_us.into())).await;
        }
        let payload = Some(payload(part.size)?);
        out.set_compression(part.packing().compression());
        out.send(DownloadPart { payload }).await?;
        line.sent();
    }
    fail_if_asked(request.fail_with.as_ref())
}

/// Sends back what the caller wants to see again.
fn echo(metadata: &Metadata, out: &Sender<DownloadPart>) -> Result<(), Status> {
    out.set_metadata(picked(metadata, ECHO_INITIAL)?)?;
    out.set_trailers(picked(metadata, ECHO_TRAILING)?)
}

/// Takes in an upload.
async fn receive_parts(mut parts: Streaming<UploadPart>, line: &Line) -> Result<u64, Status> {
    let mut total_size = 0;
    while let Some(part) = parts.message().await? {
        line.received();
        part.packing().check(parts.was_compressed())?;
        check_received(part.payload.as_ref())?;
        total_size += body(part.payload.as_ref()).len() as u64;
    }
    Ok(total_size)
}

/// Answers request after request.
async fn answer_each(
    mut requests: Streaming<DownloadRequest>,
    out: &Sender<DownloadPart>,
    line: &Line,
) -> Result<(), Status> {
    while let Some(request) = requests.message().await? {
        line.received();
        send_parts(&request, out, line).await?;
    }
    Ok(())
}

impl Interop for TestService {
    async fn empty(&self, _request: Request<()>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }

    async fn unary(&self, request: Request<UnaryRequest>) -> Result<Response<UnaryReply>, Status> {
        let asked = request.get_ref();
        asked.packing().check(request.was_compressed())?;
        check_received(asked.payload.as_ref())?;
        fail_if_asked(asked.fail_with.as_ref())?;
        let metadata = request.metadata();
        let user = match asked.name_user {
            true => user(metadata)?,
            false => String::new(),
        };
        let mut response = Response::new(UnaryReply {
            payload: Some(payload(asked.reply_size)?),
            user,
        })
        .with_compression(asked.reply_packing().compression());
        *response.metadata_mut() = picked(metadata, ECHO_INITIAL)?;
        *response.trailers_mut() = picked(metadata, ECHO_TRAILING)?;
        Ok(response)
    }

    async fn download(
        &self,
        request: Request<DownloadRequest>,
        out: Sender<DownloadPart>,
    ) -> Result<(), Status> {
        let line = self.ledger.begin(request.metadata())?;
        echo(request.metadata(), &out)?;
        let result = send_parts(request.get_ref(), &out, &line).await;
        line.returned(&result);
        result
    }

    async fn upload(
        &self,
        request: Request<Streaming<UploadPart>>,
    ) -> Result<Response<UploadReply>, Status> {
        let line = self.ledger.begin(request.metadata())?;
        let result = receive_parts(request.into_inner(), &line).await;
        line.returned(&result);
        Ok(Response::new(UploadReply {
            total_size: result?,
        }))
    }

    async fn exchange(
        &self,
        request: Request<Streaming<DownloadRequest>>,
        out: Sender<DownloadPart>,
    ) -> Result<(), Status> {
        let line = self.ledger.begin(request.metadata())?;
        echo(request.metadata(), &out)?;
        let result = answer_each(request.into_inner(), &out, &line).await;
        line.returned(&result);
        result
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<WatchReply>, Status> {
        let reply = self.ledger.watch(request.get_ref()).await?;
        Ok(Response::new(reply))
    }
}
