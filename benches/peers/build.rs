//! Compiles `proto/bench/echo.proto` for tonic, without protoc.

use std::error::Error;

const PROTO: &str = "bench/echo.proto";
const FOLDER: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}/{PROTO}");
    let descriptors = protox::compile([PROTO], [FOLDER])?;
    // Payloads without a copy: the best that tonic offers.
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
