//! The pull pattern: one request, one piece of a file. In the wire format of the Go reference's examples, so that either
//! side may be one of those.
//!
//! There is no digest in this format. Where a transfer goes on, the last piece of what is there is compared again, and
//! that is all that can be: a change further ahead goes unnoticed. Whoever needs more uses the example `files`.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{HandlerError, Incoming, ServerBuilder, handler_fn};
use serde::{Deserialize, Serialize};

use crate::blocking;
use crate::folder::{Folder, read_some};

/// Path of downloads.
pub const DOWNLOAD: &str = "/download_file";
/// Path of uploads.
pub const UPLOAD: &str = "/upload_file";
/// Most data in an answer to a download, bytes.
pub const DOWNLOAD_PIECE: usize = 10_236;
/// Most data in a request of an upload, bytes: 10 MiB.
pub const UPLOAD_PIECE: usize = 10 << 20;
/// Longest description of a piece of an upload, bytes.
const MAX_META: usize = 64 * 1024;

/// Asks for a piece.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DownloadAsk {
    /// The client's number of the transfer.
    pub task_id: u64,
    /// Name of the file.
    pub file_path: String,
    /// Where the piece begins, bytes.
    pub download_start_pos: u64,
}

/// Describes a piece that is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UploadMeta {
    /// The client's number of the transfer.
    pub task_id: u64,
    /// Name of the file.
    pub file_path: String,
    /// Where the piece begins, bytes.
    pub upload_start_pos: u64,
    /// There are no more pieces.
    pub completed: bool,
}

/// Answers a piece that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UploadAnswer {
    /// The number of the transfer.
    pub task_id: u64,
    /// Where the next piece is to begin.
    pub done_bytes: u64,
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Writes the answer to a download: whether it is complete with this piece, and the piece.
pub fn download_answer(completed: bool, data: &[u8]) -> Bytes {
    let mut answer = Vec::with_capacity(4 + data.len());
    answer.extend_from_slice(&u32::from(completed).to_be_bytes());
    answer.extend_from_slice(data);
    answer.into()
}

/// Reads the answer to a download.
///
/// # Errors
///
/// It is none: among others the JSON in which a server says that something failed.
pub fn read_download_answer(answer: &Bytes) -> io::Result<(bool, Bytes)> {
    match answer.split_first_chunk() {
        Some(([0, 0, 0, completed @ (0 | 1)], data)) if data.len() <= DOWNLOAD_PIECE => {
            Ok((*completed == 1, answer.slice(4..)))
        }
        _ => Err(no_answer(answer)),
    }
}

/// Writes a request of an upload.
///
/// # Errors
///
/// The description is too long.
pub fn upload_request(meta: &UploadMeta, data: &[u8]) -> io::Result<Bytes> {
    let meta = serde_json::to_vec(meta)?;
    let len = u32::try_from(meta.len()).map_err(|_| malformed("the description is too long"))?;
    let mut request = Vec::with_capacity(4 + meta.len() + data.len());
    request.extend_from_slice(&len.to_be_bytes());
    request.extend_from_slice(&meta);
    request.extend_from_slice(data);
    Ok(request.into())
}

/// Reads a request of an upload.
///
/// # Errors
///
/// It is none.
pub fn read_upload_request(request: &Bytes) -> io::Result<(UploadMeta, Bytes)> {
    let Some((len, rest)) = request.split_first_chunk() else {
        return Err(malformed("the request is too short"));
    };
    let len = u32::from_be_bytes(*len) as usize;
    if len > MAX_META {
        return Err(malformed("the description is too long"));
    }
    let Some(meta) = rest.get(..len) else {
        return Err(malformed("the description is longer than the request"));
    };
    let meta = serde_json::from_slice(meta)?;
    Ok((meta, request.slice(4 + len..)))
}

/// A piece of a file.
fn piece(folder: &Folder, ask: &DownloadAsk) -> io::Result<Bytes> {
    let mut file = folder.read(&ask.file_path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(ask.download_start_pos.min(size)))?;
    let data = read_some(&mut file, DOWNLOAD_PIECE)?;
    let end = ask.download_start_pos.saturating_add(data.len() as u64);
    Ok(download_answer(end >= size, &data))
}

/// Puts a piece in its place, and says where the next begins.
///
/// A piece that is there already changes nothing, so that one sent again does no harm. One that is different replaces
/// what is there from its beginning on. One beyond the end is left out.
fn put(folder: &Folder, max_size: u64, meta: &UploadMeta, data: &[u8]) -> io::Result<UploadAnswer> {
    // The reference's client names the file by its path on its own machine.
    let name = meta.file_path.rsplit('/').next().unwrap_or_default();
    let mut partial = folder.partial(name)?;
    let at = meta.upload_start_pos;
    if at <= partial.len() {
        let end = at.saturating_add(data.len() as u64);
        if end > max_size {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the file is too large",
            ));
        }
        let there = partial.read_at(at, data.len())?;
        if there != data {
            partial.truncate(at)?;
            partial.append(data)?;
        }
    }
    if meta.completed {
        let end = at.saturating_add(data.len() as u64);
        if partial.len() < end {
            return Err(malformed("the file is not complete"));
        }
        // What was kept of an older, longer file.
        partial.truncate(end)?;
    }
    let done_bytes = partial.len();
    if meta.completed {
        partial.complete()?;
    }
    Ok(UploadAnswer {
        task_id: meta.task_id,
        done_bytes,
    })
}

/// What a client is told; nothing of the machine's own.
fn told(error: &io::Error) -> HandlerError {
    HandlerError::new(match error.kind() {
        io::ErrorKind::NotFound => "there is no such file",
        io::ErrorKind::WouldBlock => "another upload of this name is in progress",
        io::ErrorKind::FileTooLarge => "the file is too large",
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "the request is not valid",
        _ => "this file is not accessible",
    })
}

/// Adds both paths to a server. Files that are put may have `max_size` bytes.
pub fn serve(server: ServerBuilder, folder: &Folder, max_size: u64) -> ServerBuilder {
    let (from, into) = (folder.clone(), folder.clone());
    let download = handler_fn(move |request: Incoming| {
        let folder = from.clone();
        async move {
            let work = move || piece(&folder, &serde_json::from_slice(request.data())?);
            blocking(work).await.map_err(|error| told(&error))
        }
    });
    let upload = handler_fn(move |request: Incoming| {
        let folder = into.clone();
        async move {
            let work = move || {
                let (meta, data) = read_upload_request(request.data())?;
                let answer = put(&folder, max_size, &meta, &data)?;
                Ok(Bytes::from(serde_json::to_vec(&answer)?))
            };
            blocking(work).await.map_err(|error| told(&error))
        }
    });
    server.handler(DOWNLOAD, download).handler(UPLOAD, upload)
}

/// What a server answered that is not an answer of this format: mostly the JSON in which it says that something failed.
fn no_answer(answer: &[u8]) -> io::Error {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(200)]);
    io::Error::other(format!("the server answered: {}", text.escape_default()))
}

/// Downloads a file into `folder`, on from where the last attempt ended. If the last piece of what is kept is not what
/// the server has there, or the server's file is shorter, it begins anew.
///
/// # Errors
///
/// A call fails, the server refuses, or the file cannot be written.
///
/// # Cancel safety
///
/// Dropping the future keeps what was received.
pub async fn download(client: &Client, name: &str, folder: &Folder) -> io::Result<u64> {
    let (folder, local) = (folder.clone(), name.to_owned());
    let mut partial = blocking(move || folder.partial(&local)).await?;
    let mut at = partial.len().saturating_sub(DOWNLOAD_PIECE as u64);
    loop {
        let ask = DownloadAsk {
            task_id: 1,
            file_path: name.into(),
            download_start_pos: at,
        };
        let ask = serde_json::to_vec(&ask)?;
        let answer = client.call(DOWNLOAD, ask).await.map_err(io::Error::other)?;
        let (completed, data) = read_download_answer(&answer)?;
        if data.is_empty() && !completed {
            return Err(malformed("the server sent nothing and is not done"));
        }
        let end = at + data.len() as u64;
        let same;
        (partial, same) = blocking(move || {
            let kept = partial.read_at(at, data.len())?;
            let same = data.starts_with(&kept) && !(completed && end < partial.len());
            if same {
                partial.append(&data[kept.len()..])?;
            } else {
                partial.truncate(0)?;
            }
            Ok((partial, same))
        })
        .await?;
        at = if same { end } else { 0 };
        if same && completed {
            blocking(move || partial.complete()).await?;
            return Ok(end);
        }
    }
}

/// Uploads the file at `path`, in pieces of `piece` bytes, 10 MiB at most. Where the server has more than was sent, it
/// goes on with the last piece of that, which a server of this project compares.
///
/// # Errors
///
/// A call fails, the server refuses, or the file cannot be read.
///
/// # Cancel safety
///
/// Dropping the future keeps what the server has.
pub async fn upload(client: &Client, path: &Path, piece: usize) -> io::Result<u64> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| malformed("the path has no file name in UTF-8"))?;
    let piece = piece.clamp(1, UPLOAD_PIECE);
    let opened = path.to_owned();
    let (mut file, size) = blocking(move || {
        let file = File::open(opened)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    })
    .await?;
    let mut at = 0;
    loop {
        let data;
        (file, data) = blocking(move || {
            file.seek(SeekFrom::Start(at))?;
            let data = read_some(&mut file, piece)?;
            Ok((file, data))
        })
        .await?;
        let meta = UploadMeta {
            task_id: 1,
            file_path: name.into(),
            upload_start_pos: at,
            completed: data.is_empty(),
        };
        let request = upload_request(&meta, &data)?;
        let answer = client.call(UPLOAD, request).await;
        let answer = answer.map_err(io::Error::other)?;
        let UploadAnswer { done_bytes, .. } =
            serde_json::from_slice(&answer).map_err(|_| no_answer(&answer))?;
        at += data.len() as u64;
        if done_bytes < at {
            return Err(no_answer(&answer));
        }
        if data.is_empty() {
            return Ok(at);
        }
        // It may have more already, of an attempt before; if it has too much, that is of another file.
        if done_bytes <= size {
            at = at.max(done_bytes.saturating_sub(piece as u64));
        }
    }
}
