//! Generates the clients and the servers of `proto/bench`.

fn main() -> iip_codegen::Result {
    // As for the peers: payloads without a copy.
    iip_codegen::configure()
        .bytes(["."])
        .compile(["../proto/bench/echo.proto", "../proto/bench/stream.proto"])
}
