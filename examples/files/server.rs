//! Serves a folder's files, and takes files into it.
//! `cargo run -p iip-examples --bin files-server -- FOLDER [ADDRESS [MOST-BYTES]]`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use iip_rpc::Server;
use transfer::files::FilesServer;
use transfer::folder::Folder;
use transfer::service::FileService;

const USAGE: &str = "usage: files-server FOLDER [ADDRESS [MOST-BYTES]]";
/// Largest file taken unless another is given, bytes.
const MAX_SIZE: u64 = 16 << 30;
/// How long one transfer may take: its call has no deadline.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

async fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or(USAGE)?;
    let address = args.next().unwrap_or_else(|| "127.0.0.1:9092".into());
    let max_size = args
        .next()
        .map_or(Ok(MAX_SIZE), |text| text.parse().map_err(|_| USAGE))?;
    let folder = Folder::open(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let server = Server::builder()
        .add_service(FilesServer::new(FileService::new(folder, max_size)))
        .default_timeout(None)
        .run_limit(LONGEST)
        .bind(&address)
        .await?;
    println!("{}", server.local_addr());
    // An upload that is cut off here goes on with the next server.
    let grace = Duration::from_secs(5);
    server
        .serve_with_shutdown(iip_rpc::shutdown_signal(), grace)
        .await?;
    Ok(())
}

fn main() -> ExitCode {
    transfer::exit(iip_rpc::run(run()))
}
