//! Generates the client and the server of `proto/bench/echo.proto`.

fn main() -> iip_codegen::Result {
    // As for the peers: payloads without a copy.
    iip_codegen::configure()
        .bytes(["."])
        .compile("../proto/bench/echo.proto")
}
