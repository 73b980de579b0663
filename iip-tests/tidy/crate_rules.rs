//! The rules every crate's sources keep, as tests. A crate includes this file in its integration tests with `#[path]`.

pub(crate) mod contents;
pub(crate) mod imports;
pub(crate) mod order;
pub(crate) mod scan;
pub(crate) mod sources;

use std::path::Path;

use contents::first_foreign_item;
use imports::{Modules, is_test};
use order::Order;
use scan::code_only;
use sources::{Source, read, repository, sources};

const MANIFEST_DIR: &str = env!("CARGO_MANIFEST_DIR");
const CRATE: &str = env!("CARGO_PKG_NAME");

/// Longest source file, lines.
const MAX_LINES: usize = 600;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = [
    "util", "utils", "common", "helper", "helpers", "types", "misc",
];

/// What code does that is not a function of its arguments.
const IMPURE: [&str; 9] = [
    "tokio",
    "Instant::now",
    "SystemTime",
    "Mutex",
    "RwLock",
    ".await",
    "async ",
    "thread::",
    "std::net",
];

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{CRATE}:\n{}", problems.join("\n"));
}

/// The crate's own files; the crate of tests looks after the folders that have no tests of this kind.
fn all_sources() -> Vec<Source> {
    let mut found = sources(Path::new(MANIFEST_DIR), "rs");
    if CRATE == "iip-tests" {
        for folder in ["examples", "benches", "fuzz"] {
            found.extend(sources(&repository(MANIFEST_DIR).join(folder), "rs"));
        }
    }
    found
}

fn order() -> Option<Order> {
    let architecture = read(&repository(MANIFEST_DIR).join("ARCHITECTURE.md"));
    Order::read(&architecture, CRATE)
}

#[test]
fn imports_follow_the_order_of_files() {
    let Some(order) = order() else {
        return;
    };
    let mut modules = Modules::default();
    for source in sources(&Path::new(MANIFEST_DIR).join("src"), "rs") {
        modules.add(&source.file, &source.text);
    }
    assert_none(&modules.problems(&order));
}

#[test]
fn pure_folders_are_pure() {
    let pure = order().map(|order| order.pure).unwrap_or_default();
    let mut problems = Vec::new();
    for folder in pure {
        let inside = sources(&Path::new(MANIFEST_DIR).join("src").join(&folder), "rs");
        for source in inside {
            if is_test(source.file.trim_end_matches(".rs")) {
                continue;
            }
            let code = code_only(&source.text);
            for word in IMPURE {
                if code.contains(word) {
                    problems.push(format!("{folder}/{} uses `{word}`", source.file));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn roots_of_folders_are_tables_of_contents() {
    let mut problems = Vec::new();
    for source in sources(&Path::new(MANIFEST_DIR).join("src"), "rs") {
        if matches!(source.name(), "mod.rs" | "lib.rs")
            && let Some(item) = first_foreign_item(&code_only(&source.text))
        {
            problems.push(format!(
                "{}: `{item}` belongs into a file of its own",
                source.file
            ));
        }
    }
    assert_none(&problems);
}

#[test]
fn files_are_short_and_named_for_what_they_hold() {
    let mut problems = Vec::new();
    for source in all_sources() {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            problems.push(format!(
                "{} has {lines} lines, more than {MAX_LINES}",
                source.file
            ));
        }
        for part in source.file.trim_end_matches(".rs").split('/') {
            if EMPTY_NAMES.contains(&part) {
                problems.push(format!("{}: `{part}` says nothing", source.file));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn tests_have_files_of_their_own_and_all_run() {
    let mut problems = Vec::new();
    for source in all_sources() {
        let code = code_only(&source.text);
        let squeezed = code.split_whitespace().collect::<Vec<_>>().join(" ");
        let inline = squeezed
            .match_indices("#[cfg(test)] mod ")
            .any(|(at, found)| {
                let name = &squeezed[at + found.len()..];
                name.find(['{', ';'])
                    .is_some_and(|end| name[end..].starts_with('{'))
            });
        if inline {
            problems.push(format!("{} has its unit tests inside", source.file));
        }
        if code.contains("#[ignore") {
            problems.push(format!("{} has a test that does not run", source.file));
        }
        let tests =
            source.file.starts_with("tests/") || is_test(source.file.trim_end_matches(".rs"));
        if tests && code.contains("thread::sleep") {
            problems.push(format!("{} has a test that sleeps", source.file));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_workspace_lints_hold_here() {
    let manifest = read(&Path::new(MANIFEST_DIR).join("Cargo.toml"));
    assert!(
        manifest
            .replace(' ', "")
            .contains("[lints]\nworkspace=true"),
        "{CRATE} does not inherit the lints of the workspace"
    );
    let workspace = read(&repository(MANIFEST_DIR).join("Cargo.toml"));
    for lint in ["unsafe_code = \"forbid\"", "missing_docs = \"deny\""] {
        assert!(workspace.contains(lint), "the workspace lacks {lint}");
    }
}
