//! The rules of the house that a compiler does not check.

use std::fs;
use std::path::Path;

/// The order of the files; each imports only from those before it.
const ORDER: &[&str] = &[
    "error",
    "ident",
    "selector",
    "source",
    "messages",
    "model",
    "methods",
    "server",
    "client",
    "mock",
    "generator",
    "markdown",
    "docs",
    "output",
    "protos",
    "builder",
];

const FORBIDDEN: &[&str] = &["util", "common", "helpers", "types", "misc"];

fn sources(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the entry can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let name = path
                .file_stem()
                .expect("a file has a name")
                .to_string_lossy();
            (
                name.into_owned(),
                fs::read_to_string(&path).expect("the file can be read"),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn files_are_short_and_named_for_what_they_do() {
    for (name, text) in sources("src").into_iter().chain(sources("tests/it")) {
        assert!(
            text.lines().count() <= 600,
            "{name}.rs is longer than 600 lines"
        );
        assert!(!FORBIDDEN.contains(&name.as_str()), "{name}.rs");
    }
}

#[test]
fn imports_go_upward_only() {
    for (name, text) in sources("src") {
        if name == "lib" || name.ends_with("_tests") {
            continue;
        }
        let place = ORDER.iter().position(|other| *other == name);
        let place = place.unwrap_or_else(|| panic!("{name}.rs has no place in the order"));
        for (at, other) in ORDER.iter().enumerate() {
            let imports = text.contains(&format!("use crate::{other}::"))
                || text.contains(&format!("use crate::{other};"));
            assert!(
                !imports || at < place,
                "{name}.rs imports from {other}.rs, which is below it"
            );
        }
    }
}

#[test]
fn the_crate_is_a_table_of_contents() {
    let (_, text) = sources("src")
        .into_iter()
        .find(|(name, _)| name == "lib")
        .expect("lib.rs is there");
    for line in text.lines() {
        let fits = ["//!", "#!", "#[cfg(test)]", "mod ", "pub use "]
            .iter()
            .any(|start| line.starts_with(start));
        assert!(fits || line.is_empty(), "lib.rs: {line}");
    }
}
