//! Compiles `proto/bench` for tonic, without protoc.

use std::error::Error;

const PROTOS: [&str; 2] = ["bench/echo.proto", "bench/stream.proto"];
const FOLDER: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    for proto in PROTOS {
        println!("cargo::rerun-if-changed={FOLDER}/{proto}");
    }
    let descriptors = protox::compile(PROTOS, [FOLDER])?;
    // Payloads without a copy: the best that tonic offers.
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
