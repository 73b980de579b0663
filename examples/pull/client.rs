//! Gets a file piece by piece, or puts one, also with the Go reference's servers.
//! `cargo run -p iip-examples --bin pull-client -- get ADDRESS FOLDER NAME`, or `… put ADDRESS PATH`

use std::error::Error;
use std::process::ExitCode;

use iip_core::client::Client;
use transfer::folder::Folder;
use transfer::pull;

const USAGE: &str = "usage: pull-client get ADDRESS FOLDER NAME | pull-client put ADDRESS PATH";
/// Data sent in one request, bytes: what any server accepts.
const PIECE: usize = 1 << 20;

async fn run() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [command, address, rest @ ..] = &args[..] else {
        return Err(USAGE.into());
    };
    let client = Client::builder((*address).try_into()?).connect_lazy();
    let size = match (*command, rest) {
        ("get", [folder, name]) => {
            let folder = Folder::open(folder).map_err(|error| format!("{folder}: {error}"))?;
            pull::download(&client, name, &folder).await?
        }
        ("put", [path]) => pull::upload(&client, path.as_ref(), PIECE).await?,
        _ => return Err(USAGE.into()),
    };
    println!("{size} bytes");
    Ok(())
}

fn main() -> ExitCode {
    transfer::exit(iip_rpc::run(run()))
}
