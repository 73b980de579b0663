//! What the repository says about itself is true.

use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file))
        .unwrap_or_else(|error| panic!("{file} cannot be read: {error}"))
}

/// The lines of `text`'s blocks marked `sh`.
fn commands(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => found.push(line),
            _ => {}
        }
    }
    found
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let readme = read("README.md");
    let ci = read(".ci/run");
    let first = commands(&readme).into_iter().take(4).collect::<Vec<_>>();
    for needed in ["cargo run -p iip-examples --bin helloworld", "cargo test"] {
        assert!(
            first.contains(&needed),
            "the README does not begin with `{needed}`"
        );
    }
    for command in commands(&readme) {
        let in_ci = ci
            .lines()
            .any(|line| line.trim_start().trim_start_matches("run ") == command);
        assert!(
            in_ci || !command.starts_with("cargo ") || command.contains("bench"),
            ".ci/run does not run `{command}` of the README"
        );
    }
}

#[test]
fn the_architecture_fits_two_hundred_lines() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines <= 200, "ARCHITECTURE.md has {lines} lines");
}

#[test]
fn every_example_is_listed_and_run() {
    let (readme, list, ci) = (
        read("README.md"),
        read("examples/README.md"),
        read(".ci/run"),
    );
    let folders = fs::read_dir(repository().join("examples")).expect("examples can be read");
    let mut names: Vec<String> = folders
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("main.rs").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 6, "{names:?}");
    for name in &names {
        let in_readme = format!("[{name}](examples/{name})");
        assert!(readme.contains(&in_readme), "README.md lacks {name}");
        let in_list = format!("[{name}]({name})");
        assert!(list.contains(&in_list), "examples/README.md lacks {name}");
        let mut run = ci
            .lines()
            .filter(|line| line.contains("example"))
            .flat_map(|line| line.split([' ', ';']));
        assert!(run.any(|word| word == name), ".ci/run does not run {name}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/balancing.md",
        "docs/from-tonic.md",
        "docs/protocol.md",
        "examples/README.md",
        "docs/interop.md",
        "docs/reference.md",
    ] {
        let text = read(document);
        let headings = headings(&text);
        let folder = repository().join(document);
        let folder = folder.parent().unwrap_or(&folder);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let found = match link.strip_prefix('#') {
                Some(heading) => headings.iter().any(|known| known == heading),
                None => {
                    let file = link.split('#').next().unwrap_or(link);
                    link.starts_with("https://") || folder.join(file).exists()
                }
            };
            if !found {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// The names by which links reach the headings of a document.
fn headings(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| {
            heading
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-")
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
                .collect()
        })
        .collect()
}
