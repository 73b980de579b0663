//! A file piece by piece in the wire format of the Go reference's examples, with one command: a server on a free port, a
//! file put there and got back. `cargo run -p iip-examples --bin pull`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use iip_core::client::Client;
use iip_core::server::Server;
use transfer::folder::Folder;
use transfer::pull;

async fn show(base: &Path) -> Result<(), Box<dyn Error>> {
    let (here, there, back) = (base.join("here"), base.join("there"), base.join("back"));
    for folder in [&here, &there, &back] {
        fs::create_dir_all(folder)?;
    }
    let server = pull::serve(Server::builder(), &Folder::open(&there)?, 1 << 20)
        .bind("127.0.0.1:0")
        .await?;
    let address = server
        .local_addr()
        .ok_or("a server has an address")?
        .clone();
    tokio::spawn(server.serve());
    let client = Client::builder(address).connect().await?;

    let text = "one piece after the other, ".repeat(5_000);
    fs::write(here.join("file"), &text)?;
    let size = pull::upload(&client, &here.join("file"), 16 << 10).await?;
    println!("put {size} bytes in pieces of 16 KiB");

    // As if an attempt had been cut off.
    fs::write(back.join("file.iip-part"), &text[..text.len() / 2])?;
    pull::download(&client, "file", &Folder::open(&back)?).await?;
    if fs::read(back.join("file"))? != text.as_bytes() {
        return Err("what came back is another file".into());
    }
    println!("got them back, on from the middle");

    let outside = pull::download(&client, "../here/file", &Folder::open(&back)?).await;
    println!("outside: {}", outside.err().ok_or("that was let out")?);
    Ok(())
}

fn main() -> ExitCode {
    let base = std::env::temp_dir().join(format!("pull-example-{}", std::process::id()));
    let shown = iip_rpc::run(show(&base));
    let removed = fs::remove_dir_all(&base).map_err(Into::into);
    transfer::exit(shown.and(removed))
}
