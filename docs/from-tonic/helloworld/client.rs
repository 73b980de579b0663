//! The hello world's client, written for tonic.

use std::error::Error;

use helloworld::HelloRequest;
use helloworld::greeter_client::GreeterClient;

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    tonic::include_proto!("helloworld");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or("world".into());
    let mut greeter = GreeterClient::connect("http://127.0.0.1:9090").await?;
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    println!("{}", reply.into_inner().message);
    Ok(())
}
