//! The reference's examples: echo, and files in pieces. The servers name a file within one folder, which the
//! reference's own do not.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::Channel;
use super::replies::to_json;
use super::server::Server;

/// Most bytes of a file in the answer to one download request.
pub const DOWNLOAD_PIECE: usize = 10_236;

/// Most bytes of a file in one upload request.
pub const UPLOAD_PIECE: usize = 10 * 1024 * 1024;

/// How long a client waits for each answer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    task_id: i64,
    file_path: String,
    download_start_pos: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    task_id: i64,
    file_path: String,
    upload_start_pos: u64,
    completed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploaded {
    task_id: i64,
    done_bytes: u64,
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// A server of all examples, with files in `folder`.
pub fn server(folder: impl Into<PathBuf>) -> Server {
    let folder = folder.into();
    let upload_folder = folder.clone();
    Server::new()
        .handle("/echo", |call| async { Ok(call.data) })
        .handle("/echo_benchmark", |call| async { Ok(call.data) })
        .handle("/download_file", move |call| {
            let piece = download_piece(&folder, &call.data);
            async { piece }
        })
        .handle("/upload_file", move |call| {
            let done = upload_piece(&upload_folder, &call.data);
            async { done }
        })
}

/// The file of this name in a folder.
fn within(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let plain = Path::new(name).file_name().ok_or("no file name")?;
    Ok(folder.join(plain))
}

fn download_piece(folder: &Path, request: &[u8]) -> Result<Vec<u8>, String> {
    let request: Download = serde_json::from_slice(request).map_err(text)?;
    let mut file = File::open(within(folder, &request.file_path)?).map_err(text)?;
    let length = file.metadata().map_err(text)?.len();
    let start = SeekFrom::Start(request.download_start_pos);
    file.seek(start).map_err(text)?;
    let mut answer = vec![0; 4];
    let mut piece = file.take(DOWNLOAD_PIECE as u64);
    let count = piece.read_to_end(&mut answer).map_err(text)?;
    let completed = request.download_start_pos + count as u64 >= length;
    answer[..4].copy_from_slice(&u32::from(completed).to_be_bytes());
    Ok(answer)
}

fn upload_piece(folder: &Path, request: &[u8]) -> Result<Vec<u8>, String> {
    let (meta, data) = split_meta(request).ok_or("the request is too short")?;
    let meta: Upload = serde_json::from_slice(meta).map_err(text)?;
    let path = within(folder, &meta.file_path)?;
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .truncate(meta.upload_start_pos == 0 && !meta.completed)
        .open(path)
        .map_err(text)?;
    let start = SeekFrom::Start(meta.upload_start_pos);
    file.seek(start).map_err(text)?;
    file.write_all(data).map_err(text)?;
    Ok(to_json(&Uploaded {
        task_id: meta.task_id,
        done_bytes: meta.upload_start_pos + data.len() as u64,
    }))
}

fn split_meta(request: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = request.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Downloads a file, from `from` on: its bytes.
///
/// # Errors
///
/// What went wrong, in words.
pub async fn download(channel: &Channel, name: &str, from: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        let request = to_json(&Download {
            task_id: 1,
            file_path: name.into(),
            download_start_pos: from + bytes.len() as u64,
        });
        let answer = channel.request("/download_file", request, TIMEOUT).await?;
        let (completed, piece) = answer.split_first_chunk().ok_or("a short answer")?;
        bytes.extend_from_slice(piece);
        match u32::from_be_bytes(*completed) {
            0 if piece.is_empty() => return Err("an empty answer that is not the last".into()),
            0 => {}
            1 => return Ok(bytes),
            _ => return Err(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

/// Uploads a file in pieces of at most `piece` bytes.
///
/// # Errors
///
/// What went wrong, in words.
pub async fn upload(
    channel: &Channel,
    name: &str,
    data: &[u8],
    piece: usize,
) -> Result<(), String> {
    let mut done = 0;
    // The last request has no data.
    let pieces = data
        .chunks(piece.clamp(1, UPLOAD_PIECE))
        .map(|data| (data, false));
    for (data, completed) in pieces.chain([(&[][..], true)]) {
        let meta = to_json(&Upload {
            task_id: 1,
            file_path: name.into(),
            upload_start_pos: done,
            completed,
        });
        let mut request = (meta.len() as u32).to_be_bytes().to_vec();
        request.extend_from_slice(&meta);
        request.extend_from_slice(data);
        let answer = channel.request("/upload_file", request, TIMEOUT).await?;
        let unreadable = |_| String::from_utf8_lossy(&answer).into_owned();
        let answer: Uploaded = serde_json::from_slice(&answer).map_err(unreadable)?;
        done += data.len() as u64;
        if answer.done_bytes != done {
            return Err(format!("{} bytes of {done} are there", answer.done_bytes));
        }
    }
    Ok(())
}
