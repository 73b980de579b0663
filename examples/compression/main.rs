//! Compressed messages, and what they save: the bytes that cross a relay between client and server are counted.
//! `cargo run -p iip-examples --bin compression`

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use helloworld::{Greeter, GreeterClient, GreeterServer, HelloReply, HelloRequest};
use iip_rpc::{Channel, Encoding, Request, Response, Server, Status};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

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
        let message = format!("Hello {}!", request.into_inner().name);
        Ok(Response::new(HelloReply { message }))
    }
}

/// Passes one connection on to `server`, and tells how many bytes went there and back.
async fn relay(listener: TcpListener, server: SocketAddr) -> io::Result<(u64, u64)> {
    let (mut inside, _) = listener.accept().await?;
    let mut outside = TcpStream::connect(server).await?;
    copy_bidirectional(&mut inside, &mut outside).await
}

/// Greets somebody with a very long name; the bytes that it took there and back.
async fn measure(
    server: SocketAddr,
    compress: Option<Encoding>,
) -> Result<(u64, u64), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let relaying = tokio::spawn(relay(listener, server));

    let mut builder = Channel::builder(address);
    builder = match compress {
        // What the client sends, where the server said that it can read it. The server decides about its own.
        Some(encoding) => builder.compress(encoding),
        None => builder.accept([]),
    };
    let greeter = GreeterClient::connect(builder).await?;
    let name = "Llanfairpwllgwyngyll".repeat(5_000);
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    if reply.get_ref().message.len() < 100_000 {
        return Err("the greeting is too short".into());
    }
    // The connection ends with the last clone of its channel.
    drop(greeter);
    Ok(relaying.await??)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .compress(Encoding::Gzip)
        .add_service(GreeterServer::new(MyGreeter))
        .bind("127.0.0.1:0")
        .await?;
    let address = server.local_addr().socket_addr();
    let address = address.ok_or("the server does not listen on TCP")?;
    tokio::spawn(server.serve());

    let plain = measure(address, None).await?;
    println!("as it is: {} bytes there, {} back", plain.0, plain.1);
    let small = measure(address, Some(Encoding::Gzip)).await?;
    println!("compressed: {} bytes there, {} back", small.0, small.1);
    if small.0 * 10 < plain.0 && small.1 * 10 < plain.1 {
        Ok(())
    } else {
        Err("it should have been a tenth".into())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    iip_rpc::run(run())
}
