//! Where imports are found without any setting.

use std::path::{Path, PathBuf};

use iip_codegen::configure;

use crate::folder_of;

const B: &str = "syntax = \"proto3\";\npackage b;\nmessage B {}\n";

fn importing(path: &str) -> String {
    format!("syntax = \"proto3\";\npackage a;\nimport \"{path}\";\nmessage A {{ b.B b = 1; }}\n")
}

#[track_caller]
fn assert_compiles(folder: &Path, protos: &[&str]) {
    let protos: Vec<PathBuf> = protos.iter().map(|proto| folder.join(proto)).collect();
    let out = folder.join("out");
    configure()
        .out_dir(&out)
        .compile(protos)
        .expect("the imports are found");
    assert!(out.join("b.rs").is_file());
}

#[test]
fn beside_the_file() {
    let folder = folder_of(
        "include-beside",
        &[("x/a.proto", &importing("b.proto")), ("x/b.proto", B)],
    );
    assert_compiles(&folder, &["x/a.proto"]);
}

#[test]
fn from_a_folder_further_out() {
    let folder = folder_of(
        "include-outward",
        &[
            ("proto/x/y/a.proto", &importing("x/z/b.proto")),
            ("proto/x/z/b.proto", B),
        ],
    );
    assert_compiles(&folder, &["proto/x/y/a.proto"]);
}

#[test]
fn a_file_has_one_name_even_if_it_is_also_given() {
    let folder = folder_of(
        "include-once",
        &[
            ("proto/a.proto", &importing("proto/b.proto")),
            ("proto/b.proto", B),
        ],
    );
    assert_compiles(&folder, &["proto/a.proto", "proto/b.proto"]);
    assert_compiles(&folder, &["proto/b.proto", "proto/a.proto"]);
}

#[test]
fn beside_each_of_several_files() {
    let c = "syntax = \"proto3\";\npackage c;\nimport \"d.proto\";\nmessage C { d.D d = 1; }\n";
    let d = "syntax = \"proto3\";\npackage d;\nmessage D {}\n";
    let folder = folder_of(
        "include-several",
        &[
            ("x/a.proto", &importing("b.proto")),
            ("x/b.proto", B),
            ("y/c.proto", c),
            ("y/d.proto", d),
        ],
    );
    assert_compiles(&folder, &["x/a.proto", "y/c.proto"]);
}

#[test]
fn only_in_the_folders_that_are_set() {
    let folder = folder_of(
        "include-set",
        &[
            ("x/a.proto", &importing("b.proto")),
            ("x/b.proto", "not protobuf"),
            ("y/b.proto", B),
        ],
    );
    configure()
        .out_dir(folder.join("out"))
        .includes([folder.join("y"), folder.join("x")])
        .compile(folder.join("x/a.proto"))
        .expect("the folder that was named first has the import");
}

#[test]
fn paths_may_go_up() {
    let folder = folder_of(
        "include-up",
        &[("x/a.proto", &importing("b.proto")), ("x/b.proto", B)],
    );
    assert_compiles(&folder, &["y/../x/./a.proto"]);
}
