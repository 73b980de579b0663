//! Files in both directions, with one command: a server on a free port, three files put there at a time and got back.
//! `cargo run -p iip-examples --bin files`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use iip_rpc::Server;
use transfer::client::{connect, download, upload};
use transfer::files::FilesServer;
use transfer::folder::Folder;
use transfer::service::FileService;

const NAMES: [&str; 3] = ["one", "two", "three"];

async fn show(base: &Path) -> Result<(), Box<dyn Error>> {
    let (here, there, back) = (base.join("here"), base.join("there"), base.join("back"));
    for folder in [&here, &there, &back] {
        fs::create_dir_all(folder)?;
    }
    let service = FileService::new(Folder::open(&there)?, 1 << 30);
    let server = Server::builder()
        .add_service(FilesServer::new(service))
        .bind("127.0.0.1:0")
        .await?;
    let client = connect(&server.local_addr().to_string())?;
    tokio::spawn(server.serve());

    for (index, name) in NAMES.iter().enumerate() {
        fs::write(here.join(name), name.repeat(200_000 * (index + 1)))?;
    }
    let paths = NAMES.map(|name| here.join(name));
    let put = |index: usize| upload(&client, &paths[index], NAMES[index], &());
    let sizes = tokio::try_join!(put(0), put(1), put(2))?;
    println!("put three files of {sizes:?} bytes");

    // As if an attempt had been cut off: what is there is checked, and not sent again.
    let whole = fs::read(&paths[2])?;
    fs::write(back.join("three.iip-part"), &whole[..whole.len() / 2])?;
    let folder = Folder::open(&back)?;
    for name in NAMES {
        download(&client, name, &folder, &()).await?;
        if fs::read(back.join(name))? != fs::read(here.join(name))? {
            return Err("what came back is another file".into());
        }
    }
    println!("got them back, the last one on from its middle");

    let outside = download(&client, "../here/one", &folder, &()).await;
    println!(
        "outside the folder: {}",
        outside.err().ok_or("that was let out")?
    );
    Ok(())
}

fn main() -> ExitCode {
    let base = std::env::temp_dir().join(format!("files-example-{}", std::process::id()));
    let shown = iip_rpc::run(show(&base));
    let removed = fs::remove_dir_all(&base).map_err(Into::into);
    transfer::exit(shown.and(removed))
}
