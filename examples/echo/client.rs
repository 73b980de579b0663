//! Sends each line it reads to `/echo` and prints the answer, or one message and ends. Also with the Go reference's servers.
//! `cargo run -p iip-examples --bin echo-client -- [ADDRESS [--message TEXT]]`

use std::error::Error;
use std::process::ExitCode;

use iip_core::client::Client;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

async fn echo(client: &Client, line: String) -> Result<(), Box<dyn Error>> {
    let answer = client.call("/echo", line).await?;
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or("127.0.0.1:9090".into());
    // It connects again by itself when the connection is lost.
    let client = Client::builder(address.as_str().try_into()?).connect_lazy();
    match (args.next().as_deref(), args.next()) {
        (Some("--message"), Some(text)) => return echo(&client, text).await,
        (None, None) => {}
        _ => return Err("usage: echo-client [ADDRESS [--message TEXT]]".into()),
    }
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        // A request must not be empty in IIP.
        if line.is_empty() {
            continue;
        }
        if let Err(error) = echo(&client, line).await {
            eprintln!("{error}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    transfer::exit(iip_rpc::run(run()))
}
