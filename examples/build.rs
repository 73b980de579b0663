//! Generates the code of every example's services.

fn main() -> iip_codegen::Result {
    // `mock`: structs that answer in tests, for the example `in-process`.
    iip_codegen::configure().mock(true).compile([
        "../proto/errands/errands.proto",
        "../proto/helloworld/helloworld.proto",
        "../proto/routeguide/routeguide.proto",
    ])
}
