//! Generates the code of every fixture of iip-codegen with the fixture's settings, that of the hello world, of the
//! interoperability suite and of the fleet.

use std::path::{Path, PathBuf};
use std::{env, fs};

mod cases {
    include!("../iip-codegen/fixtures/cases.rs");
}

fn main() -> iip_codegen::Result {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let fixtures = Path::new("../iip-codegen/fixtures");
    let mut modules = String::new();
    for case in cases::CASES {
        let name = case.name;
        let folder = fixtures.join(name);
        let protos: Vec<PathBuf> = case.protos.iter().map(|proto| folder.join(proto)).collect();
        (case.configure)(iip_codegen::configure())
            .out_dir(out_dir.join(name))
            .include_file("_include.rs")
            .compile(protos)?;
        modules.push_str(&format!(
            "pub mod {name} {{\n    include!(concat!(env!(\"OUT_DIR\"), \"/{name}/_include.rs\"));\n}}\n"
        ));
    }
    fs::write(out_dir.join("fixtures.rs"), modules).expect("OUT_DIR can be written to");
    iip_codegen::compile("../proto/helloworld/helloworld.proto")?;
    // Payloads are shared and compared, not copied.
    iip_codegen::configure()
        .bytes(["."])
        .compile("../proto/interop/interop.proto")?;
    iip_codegen::configure()
        .bytes(["."])
        .compile("../proto/fleet/fleet.proto")
}
