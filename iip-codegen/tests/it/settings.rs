//! Settings that no fixture shows, and what is written where.

use std::fs;
use std::path::PathBuf;

use iip_codegen::{Protos, configure};

use crate::folder_of;

const PROTO: &str = "syntax = \"proto3\";\npackage a.B.match;\nmessage M {}\nservice S { rpc Get(M) returns (M); }\n";

#[test]
fn files_are_named_as_the_package_is_written() {
    let folder = folder_of("settings-names", &[("a.proto", PROTO)]);
    configure()
        .out_dir(folder.join("new/out"))
        .compile(folder.join("a.proto"))
        .expect("the file is valid");
    assert!(folder.join("new/out/a.B.match.rs").is_file());
}

#[test]
fn a_file_that_did_not_change_is_not_written_again() {
    let folder = folder_of("settings-same", &[("a.proto", PROTO)]);
    let compile = || {
        configure()
            .out_dir(folder.join("out"))
            .compile(folder.join("a.proto"))
            .expect("the file is valid");
    };
    compile();
    let file = folder.join("out/a.B.match.rs");
    let mut permissions = fs::metadata(&file).expect("it was written").permissions();
    let written = fs::metadata(&file).expect("it was written").modified().ok();
    permissions.set_readonly(true);
    fs::set_permissions(&file, permissions).expect("the permissions can be set");
    compile();
    let now = fs::metadata(&file)
        .expect("it is still there")
        .modified()
        .ok();
    assert_eq!(written, now);
}

#[test]
fn the_include_file_nests_packages() {
    let proto =
        |package: &str| format!("syntax = \"proto3\";\npackage {package};\nmessage M {{}}\n");
    let folder = folder_of(
        "settings-tree",
        &[
            ("1.proto", &proto("a.b")),
            ("2.proto", &proto("a.type.d")),
            ("3.proto", &proto("e")),
            ("4.proto", "syntax = \"proto3\";\nmessage M {}\n"),
        ],
    );
    configure()
        .out_dir(folder.join("out"))
        .include_file("all.rs")
        .compile(["1.proto", "2.proto", "3.proto", "4.proto"].map(|name| folder.join(name)))
        .expect("the files are valid");
    let tree = fs::read_to_string(folder.join("out/all.rs")).expect("it was written");
    let shape: Vec<&str> = tree
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('/') && !line.starts_with('#'))
        .collect();
    assert_eq!(
        shape,
        [
            "include!(\"_.rs\");",
            "pub mod a {",
            "pub mod b {",
            "include!(\"a.b.rs\");",
            "}",
            "pub mod r#type {",
            "pub mod d {",
            "include!(\"a.type.d.rs\");",
            "}",
            "}",
            "}",
            "pub mod e {",
            "include!(\"e.rs\");",
            "}",
        ]
    );
}

#[test]
fn paths_are_given_in_any_form() {
    let expected = [PathBuf::from("a.proto")];
    assert_eq!("a.proto".into_paths(), expected);
    assert_eq!(String::from("a.proto").into_paths(), expected);
    assert_eq!((&String::from("a.proto")).into_paths(), expected);
    assert_eq!(expected[0].as_path().into_paths(), expected);
    assert_eq!(expected[0].clone().into_paths(), expected);
    assert_eq!((&expected[0]).into_paths(), expected);
    assert_eq!(["a.proto"].into_paths(), expected);
    assert_eq!((&["a.proto"]).into_paths(), expected);
    assert_eq!(["a.proto"].as_slice().into_paths(), expected);
    assert_eq!(vec!["a.proto"].into_paths(), expected);
    assert_eq!((&vec!["a.proto"]).into_paths(), expected);
}
