//! Calls the server once. `cargo run -p iip-examples --bin helloworld-client [name]`

use std::error::Error;

use helloworld::{GreeterClient, HelloRequest};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or("world".into());
    let greeter = GreeterClient::connect("iip://127.0.0.1:9090").await?;
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    println!("{}", reply.into_inner().message);
    Ok(())
}
