//! Guides whoever calls. `cargo run -p iip-examples --bin routeguide-server`

mod features;
mod guide;

use std::error::Error;

use guide::Guide;
use iip_rpc::Server;
use routeguide::RouteGuideServer;

/// The code generated from `proto/routeguide/routeguide.proto`.
pub mod routeguide {
    iip_rpc::include_proto!("routeguide");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Server::builder()
        .add_service(RouteGuideServer::new(Guide))
        .serve("127.0.0.1:9091")
        .await?;
    Ok(())
}
