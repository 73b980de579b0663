//! Sends and takes files piece by piece, also for the Go reference's clients.
//! `cargo run -p iip-examples --bin pull-server -- FOLDER [ADDRESS]`

use std::error::Error;
use std::process::ExitCode;

use iip_core::server::Server;
use transfer::folder::Folder;
use transfer::pull;

/// Largest file taken, bytes.
const MAX_SIZE: u64 = 16 << 30;

async fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: pull-server FOLDER [ADDRESS]")?;
    let folder = Folder::open(&folder).map_err(|error| format!("{folder}: {error}"))?;
    let address = args.next().unwrap_or("127.0.0.1:9093".into());
    // A piece of an upload has more than the 4 MiB that a native client's message may have by default.
    let limits = iip_core::session::Limits::default().max_message(16 << 20);
    let server = pull::serve(Server::builder().limits(limits), &folder, MAX_SIZE)
        .bind(&address)
        .await?;
    if let Some(address) = server.local_addr() {
        println!("{address}");
    }
    server.serve().await;
    Ok(())
}

fn main() -> ExitCode {
    transfer::exit(iip_rpc::run(run()))
}
