//! Bytes by path, without messages or generated code: a server that sends back what it gets, and its client.
//! `cargo run -p iip-examples --bin echo`

use std::error::Error;
use std::process::ExitCode;

use iip_core::client::Client;
use iip_core::server::{Incoming, Server, handler_fn};

async fn run() -> Result<(), Box<dyn Error>> {
    let echo = handler_fn(|request: Incoming| async move { Ok(request.into_data()) });
    let server = Server::builder()
        .handler("/echo", echo)
        .bind("127.0.0.1:0")
        .await?;
    let address = server
        .local_addr()
        .ok_or("a server has an address")?
        .clone();
    tokio::spawn(server.serve());

    let client = Client::builder(address).connect().await?;
    let answer = client.call("/echo", "Hello, echo!").await?;
    println!("{}", String::from_utf8_lossy(&answer));
    if answer != "Hello, echo!" {
        return Err("that is no echo".into());
    }
    // What nobody handles is answered too: in raw IIP an error is data like any other.
    let answer = client.call("/elsewhere", "Hello?").await?;
    println!("elsewhere: {}", String::from_utf8_lossy(&answer));
    Ok(())
}

fn main() -> ExitCode {
    transfer::exit(iip_rpc::run(run()))
}
