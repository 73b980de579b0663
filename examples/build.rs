//! Generates the code of every example's services.

fn main() -> iip_codegen::Result {
    iip_codegen::configure()
        // A method that an example leaves out answers UNIMPLEMENTED. Without this it must not be left out.
        .default_stubs(true)
        // Structs that answer in tests, for the example `in-process`.
        .mock(true)
        // Data of files is not copied to be decoded.
        .bytes([".files"])
        .compile([
            "../proto/errands/errands.proto",
            "../proto/files/files.proto",
            "../proto/helloworld/helloworld.proto",
            "../proto/routeguide/routeguide.proto",
        ])
}
