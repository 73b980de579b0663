//! Generates the code of every example's services.

fn main() -> iip_codegen::Result {
    iip_codegen::compile("../proto/helloworld/helloworld.proto")
}
