//! Says hello to whoever calls. `cargo run -p iip-examples --bin helloworld-server`
//!
//! The runtime is the program's own here; `main.rs` beside it does without.

use std::error::Error;

use helloworld::{Greeter, GreeterServer, HelloReply, HelloRequest};
use iip_rpc::{Request, Response, Server, Status};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        Ok(Response::new(HelloReply {
            message: format!("Hello {name}!"),
        }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .serve("127.0.0.1:9090")
        .await?;
    Ok(())
}
