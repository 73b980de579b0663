//! Says hello to whoever calls. `cargo run -p iip-examples --bin helloworld-server [address]`

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use iip_rpc::{Request, Response, Server, Status};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

use helloworld::{Greeter, GreeterServer, HelloReply, HelloRequest};

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        Ok(HelloReply {
            message: format!("Hello {name}!"),
        }
        .into())
    }
}

async fn serve(address: &str) -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .bind(address)
        .await?;
    writeln!(stdout(), "{}", server.local_addr())?;
    let signal = iip_rpc::tokio::signal::ctrl_c();
    server
        .serve_with_shutdown(signal, Duration::from_secs(30))
        .await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    iip_rpc::run(serve(address.as_deref().unwrap_or("127.0.0.1:9090")))
}
