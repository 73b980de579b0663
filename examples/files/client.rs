//! The client: one attempt at a transfer, and attempts until it is done.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use iip_rpc::{Channel, Code, Request, Status};
use sha2::{Digest, Sha256};

use crate::blocking;
use crate::files::{
    Begin, DownloadRequest, FilesClient, StandingRequest, UploadPart, download_part, upload_part,
};
use crate::folder::{Folder, digest, read_some};
use crate::service::CHUNK;

/// Attempts without any progress after which a transfer fails.
const ATTEMPTS: u32 = 10;
/// Pause before the first of them that follows a failure; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a transfer failed.
#[derive(Debug)]
pub enum TransferError {
    /// The call failed.
    Call(Status),
    /// A file on this side cannot be read or written.
    File(io::Error),
    /// What came is not what was sent; what was kept of it is gone.
    Digest,
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(status) => write!(f, "{status}"),
            Self::File(error) => write!(f, "the file on this side: {error}"),
            Self::Digest => f.write_str("what came is not what was sent"),
        }
    }
}

impl std::error::Error for TransferError {}

impl From<Status> for TransferError {
    fn from(status: Status) -> Self {
        Self::Call(status)
    }
}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// Is told how a transfer goes on.
pub trait Progress: Sync {
    /// The transfer stands here, of so many bytes.
    fn at(&self, done: u64, size: u64);
    /// So many bytes of the file were sent or received now.
    fn moved(&self, bytes: u64);
}

/// Tells nobody.
impl Progress for () {
    fn at(&self, _: u64, _: u64) {}
    fn moved(&self, _: u64) {}
}

/// Makes a client for transfers that take as long as they take.
///
/// # Errors
///
/// The address is none.
pub fn connect(address: &str) -> Result<FilesClient, Status> {
    let channel = Channel::builder(address).timeout(None).connect_lazy()?;
    Ok(FilesClient::new(channel))
}

/// One attempt to download a file into `folder`, on from where the last one ended.
///
/// # Errors
///
/// The call fails, a file here cannot be written, or the digest is wrong.
///
/// # Cancel safety
///
/// Dropping the future cancels the call and keeps what was received.
pub async fn download(
    client: &FilesClient,
    name: &str,
    folder: &Folder,
    progress: &impl Progress,
) -> Result<u64, TransferError> {
    let (folder, local) = (folder.clone(), name.to_owned());
    let (mut partial, mut digest) = blocking(move || {
        let mut partial = folder.partial(&local)?;
        let digest = partial.digest()?;
        Ok((partial, digest))
    })
    .await?;
    let request = DownloadRequest {
        name: name.into(),
        offset: partial.len(),
        prefix_digest: digest.clone().finalize().to_vec().into(),
    };
    let answer = match client.download(request).await {
        Ok(answer) => answer,
        Err(status) => {
            if status.code() == Code::FailedPrecondition {
                blocking(move || partial.truncate(0)).await?;
            }
            return Err(status.into());
        }
    };
    let mut parts = answer.into_inner();
    let mut size = None;
    loop {
        let part = match parts.message().await {
            Ok(part) => part.and_then(|part| part.part),
            Err(status) => {
                if status.code() == Code::FailedPrecondition {
                    blocking(move || partial.truncate(0)).await?;
                }
                return Err(status.into());
            }
        };
        match (part, size) {
            (Some(download_part::Part::Size(said)), None) => {
                size = Some(said);
                progress.at(partial.len(), said);
            }
            (Some(download_part::Part::Data(data)), Some(size)) => {
                progress.moved(data.len() as u64);
                (partial, digest) = blocking(move || {
                    partial.append(&data)?;
                    digest.update(&data);
                    Ok((partial, digest))
                })
                .await?;
                progress.at(partial.len(), size);
            }
            (Some(download_part::Part::Digest(claimed)), Some(size)) => {
                if partial.len() != size || digest.finalize()[..] != claimed[..] {
                    blocking(move || partial.truncate(0)).await?;
                    return Err(TransferError::Digest);
                }
                blocking(move || partial.complete()).await?;
                return Ok(size);
            }
            _ => return Err(Status::internal("the parts are out of order").into()),
        }
    }
}

/// One attempt to upload the file at `path` as `name`, on from where the server stands.
///
/// # Errors
///
/// The call fails, or the file cannot be read.
///
/// # Cancel safety
///
/// Dropping the future cancels the call; the server keeps what it has received.
pub async fn upload(
    client: &FilesClient,
    path: &Path,
    name: &str,
    progress: &impl Progress,
) -> Result<u64, TransferError> {
    let asked =
        Request::new(StandingRequest { name: name.into() }).with_timeout(Duration::from_secs(10));
    let kept = client.standing(asked).await?.into_inner().offset;
    match upload_from(client, path, name, kept, progress).await {
        // What the server has kept is of another file: it forgets it.
        Err(TransferError::Call(status)) if status.code() == Code::FailedPrecondition => {
            upload_from(client, path, name, 0, progress).await
        }
        result => result,
    }
}

async fn upload_from(
    client: &FilesClient,
    path: &Path,
    name: &str,
    kept: u64,
    progress: &impl Progress,
) -> Result<u64, TransferError> {
    let path = path.to_owned();
    let (mut file, size, mut at, mut digest) = blocking(move || {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let at = if kept <= size { kept } else { 0 };
        let digest = digest(&mut file, at)?;
        Ok((file, size, at, digest))
    })
    .await?;
    progress.at(at, size);
    let (out, reply) = client.upload(()).await?;
    let begin = upload_part::Part::Begin(Begin {
        name: name.into(),
        size,
        offset: at,
        prefix_digest: digest.clone().finalize().to_vec().into(),
    });
    let sending = async {
        out.send(part(begin)).await?;
        while at < size {
            let (read, data): ((File, Sha256), Vec<u8>);
            (read, data) = blocking(move || {
                let data = read_some(&mut file, CHUNK)?;
                digest.update(&data);
                Ok(((file, digest), data))
            })
            .await?;
            (file, digest) = read;
            if data.is_empty() {
                let short = "the file became shorter meanwhile";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, short).into());
            }
            let bytes = data.len() as u64;
            at += bytes;
            progress.moved(bytes);
            out.send(part(upload_part::Part::Data(data.into()))).await?;
            progress.at(at, size);
        }
        let whole = digest.finalize().to_vec();
        out.send(part(upload_part::Part::Digest(whole.into())))
            .await?;
        Ok::<_, TransferError>(())
    };
    match sending.await {
        Ok(()) => out.finish().await?,
        // Why nobody takes the data any more is what the reply says.
        Err(TransferError::Call(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(reply.await?.into_inner().size)
}

fn part(part: upload_part::Part) -> UploadPart {
    UploadPart { part: Some(part) }
}

/// Whether another attempt may succeed where this one did not.
fn may_pass(error: &TransferError) -> bool {
    let TransferError::Call(status) = error else {
        return false;
    };
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Cancelled
            | Code::Aborted
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::FailedPrecondition
    )
}

/// Makes attempts until one succeeds, fails for good, or too many in a row moved nothing. `moved` says how much has been
/// moved so far.
///
/// # Errors
///
/// As the last attempt.
///
/// # Cancel safety
///
/// As the attempt.
pub async fn persist<F>(
    mut attempt: impl FnMut() -> F,
    moved: impl Fn() -> u64,
) -> Result<u64, TransferError>
where
    F: Future<Output = Result<u64, TransferError>>,
{
    let mut failures = 0;
    loop {
        let before = moved();
        match attempt().await {
            Err(error) if may_pass(&error) => {
                failures = if moved() > before { 0 } else { failures + 1 };
                if failures == ATTEMPTS {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE * 2_u32.pow(failures.min(6))).await;
            }
            result => return result,
        }
    }
}
