//! Travels with the server's help. `cargo run -p iip-examples --bin routeguide-client`

mod travel;

use std::error::Error;

/// The code generated from `proto/routeguide/routeguide.proto`.
pub mod routeguide {
    iip_rpc::include_proto!("routeguide");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    travel::travel("127.0.0.1:9091").await
}
