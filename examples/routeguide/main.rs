//! The whole route guide with one command: a server on a free port, a journey that makes one call of each of the four
//! kinds, and an orderly end. `cargo run -p iip-examples --bin routeguide`

mod features;
mod guide;
mod travel;

use std::error::Error;
use std::time::Duration;

use guide::Guide;
use iip_rpc::Server;
use routeguide::RouteGuideServer;
use tokio::sync::oneshot;

/// The code generated from `proto/routeguide/routeguide.proto`.
pub mod routeguide {
    iip_rpc::include_proto!("routeguide");
}

async fn run() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .add_service(RouteGuideServer::new(Guide))
        .bind("127.0.0.1:0")
        .await?;
    let address = server.local_addr().to_string();
    println!("listening on {address}");

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve_with_shutdown(stopped, Duration::from_secs(5)));
    let travelled = travel::travel(&address).await;

    // Answers what it has accepted, then ends: `stop` need not say anything, it is enough that it is gone.
    drop(stop);
    let report = serving.await??;
    println!("calls cut off at the end: {}", report.cut_calls);
    travelled
}

fn main() -> Result<(), Box<dyn Error>> {
    iip_rpc::run(run())
}
