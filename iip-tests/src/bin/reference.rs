//! The emulated reference as a program: the server of its examples, and a client for servers of such examples.
//!
//! ```text
//! reference server --listen 127.0.0.1:0 --folder FOLDER    prints its address, then serves until it is killed
//! reference client --addr ADDRESS call PATH TEXT           prints the answer
//! reference client --addr ADDRESS echo                     sends each line of its input to /echo
//! reference client --addr ADDRESS download NAME FILE       from the server's folder into FILE
//! reference client --addr ADDRESS upload FILE NAME         from FILE into the server's folder
//! ```

use std::error::Error;
use std::io::{Write, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use iip_tests::reference::examples::{self, UPLOAD_PIECE};
use iip_tests::reference::{Channel, Client, Server};

const USAGE: &str = "\
usage: reference server --listen ADDRESS --folder FOLDER
       reference client --addr ADDRESS call PATH TEXT
       reference client --addr ADDRESS echo
       reference client --addr ADDRESS download NAME FILE
       reference client --addr ADDRESS upload FILE NAME";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

async fn serve(address: &str, folder: &str) -> Result<()> {
    let listener = Server::listen(address).await?;
    writeln!(stdout(), "{}", listener.local_addr()?)?;
    examples::server(folder).serve(listener).await;
    Ok(())
}

fn print(answer: &[u8]) -> Result<()> {
    stdout().write_all(answer)?;
    Ok(writeln!(stdout())?)
}

async fn echo(channel: &Channel) -> Result<()> {
    for line in stdin().lines() {
        let line = line?;
        if !line.is_empty() {
            print(&channel.request("/echo", line, Duration::ZERO).await?)?;
        }
    }
    Ok(())
}

async fn call(address: &str, command: &[&str]) -> Result<()> {
    let client = Client::connect(address).await?;
    let channel = client.new_channel().await?;
    match command {
        ["call", path, text] => print(&channel.request(path, *text, Duration::ZERO).await?),
        ["echo"] => echo(&channel).await,
        ["download", name, file] => Ok(std::fs::write(
            file,
            examples::download(&channel, name, 0).await?,
        )?),
        ["upload", file, name] => {
            let data = std::fs::read(file)?;
            Ok(examples::upload(&channel, name, &data, UPLOAD_PIECE).await?)
        }
        _ => Err(USAGE.into()),
    }
}

async fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["server", "--listen", address, "--folder", folder] => serve(address, folder).await,
        ["client", "--addr", address, command @ ..] => call(address, command).await,
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match iip_rpc::run(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may read it any more.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
