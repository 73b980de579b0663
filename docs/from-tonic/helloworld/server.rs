//! The hello world's server, written for tonic.

use std::error::Error;

use helloworld::greeter_server::{Greeter, GreeterServer};
use helloworld::{HelloReply, HelloRequest};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    tonic::include_proto!("helloworld");
}

struct MyGreeter;

#[tonic::async_trait]
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
        .serve("127.0.0.1:9090".parse()?)
        .await?;
    Ok(())
}
