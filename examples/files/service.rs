//! The service: a folder's files, out and in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iip_rpc::{Request, Response, Sender, Status, Streaming};
use sha2::Digest;

use crate::blocking;
use crate::files::{
    Begin, DownloadPart, DownloadRequest, Files, StandingReply, StandingRequest, UploadPart,
    UploadReply, download_part, upload_part,
};
use crate::folder::{Folder, Partial, digest, read_some};

/// Data in one part, bytes.
pub const CHUNK: usize = 256 * 1024;

/// Serves one folder.
#[derive(Debug, Clone)]
pub struct FileService {
    folder: Folder,
    max_size: u64,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

/// What a client is told of an error; nothing of the machine's own.
fn status(error: &io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::NotFound => Status::not_found("there is no such file"),
        io::ErrorKind::InvalidInput => Status::invalid_argument(error.to_string()),
        io::ErrorKind::WouldBlock => Status::aborted("another upload of this name is in progress"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Status::resource_exhausted("the disk is full")
        }
        io::ErrorKind::UnexpectedEof => Status::aborted("the file changed while it was sent"),
        _ => Status::permission_denied("this file is not accessible"),
    }
}

fn changed() -> Status {
    Status::failed_precondition("the beginning of the file is not the same on both sides")
}

impl FileService {
    /// Serves `folder` and takes files of up to `max_size` bytes.
    pub fn new(folder: Folder, max_size: u64) -> Self {
        Self {
            folder,
            max_size,
            sent: Arc::default(),
            received: Arc::default(),
        }
    }

    /// Bytes of files sent so far, whether they arrived or not.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes of files received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Opens the partial file as `begin` says it is.
    async fn begin(&self, begin: Begin) -> Result<(Partial, sha2::Sha256), Status> {
        if begin.size > self.max_size {
            return Err(Status::resource_exhausted(format!(
                "files may have {} bytes here",
                self.max_size
            )));
        }
        let folder = self.folder.clone();
        let opened = blocking(move || {
            let mut partial = folder.partial(&begin.name)?;
            if begin.offset == 0 {
                partial.truncate(0)?;
            }
            let digest = partial.digest()?;
            let same = partial.len() == begin.offset
                && (partial.is_empty() || digest.clone().finalize()[..] == begin.prefix_digest[..]);
            Ok(same.then_some((partial, digest)))
        });
        opened.await.map_err(|e| status(&e))?.ok_or_else(changed)
    }
}

fn download(part: download_part::Part) -> DownloadPart {
    DownloadPart { part: Some(part) }
}

impl Files for FileService {
    async fn download(
        &self,
        request: Request<DownloadRequest>,
        out: Sender<DownloadPart>,
    ) -> Result<(), Status> {
        let request = request.into_inner();
        let folder = self.folder.clone();
        let opened = blocking(move || {
            let mut file = folder.read(&request.name)?;
            let before = file.metadata()?;
            if request.offset > before.len() {
                return Ok(None);
            }
            let digest = digest(&mut file, request.offset)?;
            let same =
                request.offset == 0 || digest.clone().finalize()[..] == request.prefix_digest[..];
            Ok(same.then_some((file, before, digest, request.offset)))
        });
        let (mut file, before, mut digest, mut at) =
            opened.await.map_err(|e| status(&e))?.ok_or_else(changed)?;
        out.send(download(download_part::Part::Size(before.len())))
            .await?;
        while at < before.len() {
            let most = usize::try_from(before.len() - at).map_or(CHUNK, |left| left.min(CHUNK));
            let data;
            (file, digest, data) = blocking(move || {
                let data = read_some(&mut file, most)?;
                digest.update(&data);
                Ok((file, digest, data))
            })
            .await
            .map_err(|e| status(&e))?;
            if data.is_empty() {
                break;
            }
            at += data.len() as u64;
            self.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
            out.send(download(download_part::Part::Data(data.into())))
                .await?;
        }
        let after = blocking(move || file.metadata())
            .await
            .map_err(|e| status(&e))?;
        let same_time = after.modified().ok() == before.modified().ok();
        if at != before.len() || after.len() != before.len() || !same_time {
            return Err(Status::aborted("the file changed while it was sent"));
        }
        let whole = digest.finalize().to_vec();
        out.send(download(download_part::Part::Digest(whole.into())))
            .await
    }

    async fn standing(
        &self,
        request: Request<StandingRequest>,
    ) -> Result<Response<StandingReply>, Status> {
        let name = request.into_inner().name;
        let folder = self.folder.clone();
        let offset = blocking(move || folder.kept(&name))
            .await
            .map_err(|e| status(&e))?;
        Ok(Response::new(StandingReply { offset }))
    }

    async fn upload(
        &self,
        request: Request<Streaming<UploadPart>>,
    ) -> Result<Response<UploadReply>, Status> {
        let out_of_order = || Status::invalid_argument("the parts are out of order");
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|part| part.part);
        let Some(upload_part::Part::Begin(begin)) = first else {
            return Err(out_of_order());
        };
        let size = begin.size;
        let (mut partial, mut digest) = self.begin(begin).await?;
        let claimed = loop {
            match parts.message().await?.and_then(|part| part.part) {
                Some(upload_part::Part::Data(data)) => {
                    self.received
                        .fetch_add(data.len() as u64, Ordering::Relaxed);
                    if partial.len() + data.len() as u64 > size {
                        return Err(Status::out_of_range("more data than was said"));
                    }
                    (partial, digest) = blocking(move || {
                        partial.append(&data)?;
                        digest.update(&data);
                        Ok((partial, digest))
                    })
                    .await
                    .map_err(|e| status(&e))?;
                }
                Some(upload_part::Part::Digest(claimed)) => break claimed,
                _ => return Err(out_of_order()),
            }
        };
        if partial.len() != size {
            return Err(Status::invalid_argument("less data than was said"));
        }
        let right = digest.finalize()[..] == claimed[..];
        blocking(move || {
            if right {
                partial.complete()
            } else {
                // It would never become right.
                partial.truncate(0)
            }
        })
        .await
        .map_err(|e| status(&e))?;
        if !right {
            return Err(Status::data_loss("the digest is not that of the data"));
        }
        Ok(Response::new(UploadReply { size }))
    }
}
