//! What the kernel says about a process.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

/// A file of `/proc` that could not be read or understood.
#[derive(Debug)]
pub struct ProcessError {
    path: PathBuf,
    source: Option<io::Error>,
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.source {
            Some(source) => write!(f, "observing a process: {path}: {source}"),
            None => write!(f, "observing a process: {path}: not in the expected form"),
        }
    }
}

impl std::error::Error for ProcessError {}

/// CPU time, user and system, that all threads of a process have used so far; threads that have ended are not
/// counted, so the difference of two samples is exact only while no thread ends.
///
/// # Errors
///
/// There is no such process, or the system is not Linux with scheduler statistics.
pub fn cpu_time(process: u32) -> Result<Duration, ProcessError> {
    let tasks = PathBuf::from(format!("/proc/{process}/task"));
    let mut nanos = 0;
    for task in fs::read_dir(&tasks).map_err(|e| failed(&tasks, Some(e)))? {
        let path = task
            .map_err(|e| failed(&tasks, Some(e)))?
            .path()
            .join("schedstat");
        match fs::read_to_string(&path) {
            Ok(text) => nanos += first_number(&text).ok_or_else(|| failed(&path, None))?,
            Err(error) if is_gone(&error) && tasks.exists() => {}
            Err(error) => return Err(failed(&path, Some(error))),
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Memory of a process that is resident now, in bytes.
///
/// # Errors
///
/// There is no such process, or the system is not Linux.
pub fn resident_bytes(process: u32) -> Result<u64, ProcessError> {
    let path = PathBuf::from(format!("/proc/{process}/status"));
    let text = fs::read_to_string(&path).map_err(|e| failed(&path, Some(e)))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(first_number)
        .map(|kib| kib * 1024)
        .ok_or_else(|| failed(&path, None))
}

/// Raises this process's limit on open files as far as it may go: a client with thousands of connections needs
/// more than the usual 1,024. A limit that cannot be raised shows as a failing connection.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The thread has ended between the listing and the opening, or between that and the reading.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn failed(path: &Path, source: Option<io::Error>) -> ProcessError {
    ProcessError {
        path: path.to_owned(),
        source,
    }
}
