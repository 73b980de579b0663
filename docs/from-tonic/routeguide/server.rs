//! The route guide's server, written for tonic.

mod features;
mod guide;

use std::error::Error;

use guide::Guide;
use routeguide::route_guide_server::RouteGuideServer;
use tonic::transport::Server;

/// The code generated from `proto/routeguide/routeguide.proto`.
pub mod routeguide {
    tonic::include_proto!("routeguide");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Server::builder()
        .add_service(RouteGuideServer::new(Guide))
        .serve("127.0.0.1:9091".parse()?)
        .await?;
    Ok(())
}
