use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::discover::{Discover, DiscoverError};
use super::target::Target;

/// Largest file that is read. Ten thousand endpoints have a tenth of it.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Endpoints that stand in a file, which is looked at every second.
///
/// A line has one endpoint, as `host:port`, or with any other [address](crate::transport::Address); then its weight after
/// `#`; then, after a space, its locality. Several endpoints may stand in a line with commas between them. What follows
/// a `#` at the start of a line or after a space is a comment.
///
/// ```text
/// # in the same rack
/// 10.0.0.1:9090#2 rack-1    # the large one
/// 10.0.0.2:9090 rack-1
/// iip://backup:9090,unix:///run/app.sock
/// ```
///
/// A file that cannot be read, has a mistake or no endpoint in it changes nothing: the balancer keeps the endpoints it
/// has, and logs why. To replace the file as a whole, write another one and rename it; one that is written in place may be
/// read half.
#[derive(Debug)]
pub struct WatchedFile {
    path: Arc<Path>,
    poll_every: Duration,
    /// What was there when the file was read last.
    seen: Option<Result<Vec<u8>, String>>,
}

impl WatchedFile {
    /// The endpoints in the file at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            poll_every: Duration::from_secs(1),
            seen: None,
        }
    }

    /// How often the file is read; default 1 s, at least 10 ms.
    #[must_use]
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll_every = time.max(Duration::from_millis(10));
        self
    }

    /// What is in the file, when that is something else than the last time.
    async fn changed(&mut self) -> Result<Vec<u8>, DiscoverError> {
        loop {
            let first = self.seen.is_none();
            if !first {
                tokio::time::sleep(self.poll_every).await;
            }
            let path = Arc::clone(&self.path);
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            let content = match read {
                Ok(Ok(content)) => Ok(content),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if self.seen.as_ref() != Some(&content) {
                self.seen = Some(content.clone());
                return content.map_err(|why| self.error(why));
            }
        }
    }

    fn error(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DiscoverError {
        DiscoverError::new(format!("no endpoints from {}", self.path.display())).with_source(why)
    }
}

#[async_trait]
impl Discover for WatchedFile {
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
        let content = self.changed().await?;
        let text = std::str::from_utf8(&content).map_err(|error| self.error(error))?;
        let targets = parse(text).map_err(|why| self.error(why))?;
        match targets.is_empty() {
            true => Err(self.error("there are none in it")),
            false => Ok(targets),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 > MAX_BYTES {
        true => Err(io::Error::other("it has more than 4 MiB")),
        false => Ok(content),
    }
}

/// The endpoints in the text of a file.
pub(super) fn parse(text: &str) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        for entry in without_comment(line).split(',') {
            let mut words = entry.split_whitespace();
            let Some(target) = words.next() else {
                continue;
            };
            let mut target: Target = target
                .parse()
                .map_err(|error| format!("line {number}: {error}"))?;
            if let Some(locality) = words.next() {
                target = target.with_locality(locality);
            }
            if let Some(surplus) = words.next() {
                return Err(format!(
                    "line {number}: {surplus:?} stands after the locality; write one endpoint a line, or commas \
                     between them"
                ));
            }
            targets.push(target);
        }
    }
    Ok(targets)
}

/// A weight's `#` follows its port without a space; a comment's does not.
fn without_comment(line: &str) -> &str {
    let starts = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
    let comment = line.match_indices('#').find(|(at, _)| starts(*at));
    &line[..comment.map_or(line.len(), |(at, _)| at)]
}
