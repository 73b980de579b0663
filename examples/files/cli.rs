//! Gets files from the server and puts files there, many at a time, with bars that show how far they are.
//!
//! ```sh
//! cargo run -p iip-examples --bin files-client -- get ADDRESS FOLDER [--parallel N] NAME…
//! cargo run -p iip-examples --bin files-client -- put ADDRESS [--parallel N] PATH…
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use transfer::client::{Progress, connect, download, persist, upload};
use transfer::files::FilesClient;
use transfer::folder::Folder;

const USAGE: &str = "usage: files-client get ADDRESS FOLDER [--parallel N] NAME… | files-client put ADDRESS [--parallel N] PATH…";
/// Files at a time unless another number is given.
const PARALLEL: usize = 4;

/// A bar on the terminal.
struct Bar {
    bar: ProgressBar,
    moved: AtomicU64,
}

impl Progress for Bar {
    fn at(&self, done: u64, size: u64) {
        self.bar.set_length(size);
        self.bar.set_position(done);
    }

    fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }
}

async fn transfer(
    client: &FilesClient,
    name: &str,
    into: Option<&Folder>,
    bar: &Bar,
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let moved = || bar.moved.load(Ordering::Relaxed);
    let size = match into {
        Some(folder) => persist(|| download(client, name, folder, bar), moved).await?,
        None => {
            let path = Path::new(name);
            let there = path.file_name().and_then(|name| name.to_str());
            let there = there.ok_or("the path has no file name in UTF-8")?;
            persist(|| upload(client, path, there, bar), moved).await?
        }
    };
    Ok(size)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let command = args.next().ok_or(USAGE)?;
    let client = connect(&args.next().ok_or(USAGE)?)?;
    let into = match command.as_str() {
        "get" => {
            let folder = args.next().ok_or(USAGE)?;
            Some(Folder::open(&folder).map_err(|error| format!("{folder}: {error}"))?)
        }
        "put" => None,
        _ => return Err(USAGE.into()),
    };
    let (mut parallel, mut names) = (PARALLEL, Vec::new());
    while let Some(argument) = args.next() {
        if argument == "--parallel" {
            parallel = args.next().ok_or(USAGE)?.parse().map_err(|_| USAGE)?;
        } else {
            names.push(argument);
        }
    }
    if names.is_empty() || parallel == 0 {
        return Err(USAGE.into());
    }

    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{msg:20} {wide_bar} {bytes}/{total_bytes} {eta}")?;
    let room = Arc::new(Semaphore::new(parallel));
    let mut transfers = JoinSet::new();
    for name in names {
        let (client, into, room) = (client.clone(), into.clone(), room.clone());
        let (bars, style) = (bars.clone(), style.clone());
        transfers.spawn(async move {
            let _one = room.acquire_owned().await;
            let bar = bars.add(
                ProgressBar::new(0)
                    .with_style(style)
                    .with_message(name.clone()),
            );
            let moved = AtomicU64::new(0);
            let bar = Bar { bar, moved };
            let result = transfer(&client, &name, into.as_ref(), &bar).await;
            bar.bar.finish();
            (name, result)
        });
    }
    let mut failed = 0;
    while let Some(done) = transfers.join_next().await {
        let (name, result) = done?;
        match result {
            Ok(size) => println!("{name}: {size} bytes"),
            Err(error) => {
                eprintln!("{name}: {error}");
                failed += 1;
            }
        }
    }
    if failed > 0 {
        return Err(format!("{failed} files failed").into());
    }
    Ok(())
}

fn main() -> ExitCode {
    transfer::exit(iip_rpc::run(run()))
}
