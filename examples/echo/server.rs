//! Sends back what it gets, at `/echo`. `cargo run -p iip-examples --bin echo-server [ADDRESS]`

use std::error::Error;

use iip_core::server::{Incoming, Server, handler_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let server = Server::builder()
        .handler(
            "/echo",
            handler_fn(|request: Incoming| async move { Ok(request.into_data()) }),
        )
        .bind(address.as_deref().unwrap_or("127.0.0.1:9090"))
        .await?;
    if let Some(address) = server.local_addr() {
        println!("{address}");
    }
    server.serve().await;
    Ok(())
}
