//! The whole hello world with one command: starts the server as a child process on a free port, calls it over TCP
//! and prints the reply. `cargo run -p iip-examples --bin helloworld`

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The code generated from `proto/helloworld/helloworld.proto`.
pub mod helloworld {
    iip_rpc::include_proto!("helloworld");
}

use helloworld::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};
use iip_rpc::{Request, Response, Server, Status};

struct MyGreeter;

impl Greeter for MyGreeter {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        Ok(HelloReply {
            message: format!("Hello {name}, from process {}!", std::process::id()),
        }
        .into())
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .bind("127.0.0.1:0")
        .await?;
    println!("{}", server.local_addr());
    server.serve().await?;
    Ok(())
}

async fn greet(address: &str) -> Result<(), Box<dyn Error>> {
    let greeter = GreeterClient::connect(address).await?;
    let name = String::from("world");
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    let process = std::process::id();
    let message = reply.into_inner().message;
    println!("{message} (printed by process {process})");
    if message.starts_with("Hello world") {
        Ok(())
    } else {
        Err("that is no greeting".into())
    }
}

/// Stops the server's process when the client is done, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return iip_rpc::run(serve());
    }
    let mut server = Running(
        Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let output = server.0.stdout.take().ok_or("the server has no output")?;
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address)?;
    iip_rpc::run(greet(address.trim()))
}
