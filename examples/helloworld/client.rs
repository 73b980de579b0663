//! Calls the server once. `cargo run -p iip-examples --bin helloworld-client [address [name]]`

use std::error::Error;
use std::io::{Write, stdout};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

use helloworld::{GreeterClient, HelloRequest};

async fn greet(address: &str, name: String) -> Result<(), Box<dyn Error>> {
    let greeter = GreeterClient::connect(address).await?;
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    writeln!(stdout(), "{}", reply.into_inner().message)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:9090".into());
    let name = arguments.next().unwrap_or("world".into());
    iip_rpc::run(greet(&address, name))
}
