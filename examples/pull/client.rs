//! Gets a file piece by piece, or puts one, also with the Go reference's servers.
//! `cargo run -p iip-examples --bin pull-client -- get ADDRESS FOLDER NAME`, or `… put ADDRESS PATH`

use std::error::Error;

use iip_core::client::Client;
use transfer::folder::Folder;
use transfer::pull;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let connect = |address: &str| {
        Ok::<_, Box<dyn Error>>(Client::builder(address.try_into()?).connect_lazy())
    };
    let size = match args[..] {
        ["get", address, folder, name] => {
            pull::download(&connect(address)?, name, &Folder::open(folder)?).await?
        }
        ["put", address, path] => {
            // Pieces that any server accepts.
            pull::upload(&connect(address)?, path.as_ref(), 1 << 20).await?
        }
        _ => return Err("get ADDRESS FOLDER NAME | put ADDRESS PATH".into()),
    };
    println!("{size} bytes");
    Ok(())
}
