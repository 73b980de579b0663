//! Sends back what it gets, at `/echo`, also to the Go reference's clients.
//! `cargo run -p iip-examples --bin echo-server -- [ADDRESS]`

use std::error::Error;
use std::process::ExitCode;

use iip_core::server::{Incoming, Server, handler_fn};

async fn run() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9090".into());
    let echo = handler_fn(|request: Incoming| async move { Ok(request.into_data()) });
    let server = Server::builder()
        .handler("/echo", echo)
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
