//! The list of the reference's mistakes in `docs/reference.md`: complete, and its tests exist.

use std::fs;
use std::path::Path;

/// How many there are.
const MISTAKES: usize = 40;

/// The links in a cell: their texts and targets.
fn links(cell: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for link in cell.split('[').skip(1) {
        let (text, rest) = link.split_once("](").expect("a link");
        let (target, _) = rest.split_once(')').expect("the end of a link");
        found.push((text, target));
    }
    found
}

/// Whether a file has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let beginning = format!("fn {name}(");
    lines.iter().enumerate().any(|(index, line)| {
        let is_it = line.trim_start_matches("async ").starts_with(&beginning);
        let attributes = lines[..index].iter().rev();
        let mut attributes = attributes.take_while(|line| line.starts_with("#["));
        is_it
            && attributes
                .any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_mistake_has_a_test_that_exists() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let text = fs::read_to_string(docs.join("reference.md")).expect("the list");
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| G"))
        .collect();
    assert_eq!(rows.len(), MISTAKES);
    let mut tested = 0;
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, number, mistake, here, _] = cells[..] else {
            panic!("not three cells: {row}");
        };
        assert_eq!(number, format!("G{}", index + 1));
        assert!(!mistake.is_empty() && !here.is_empty(), "{row}");
        let links = links(here);
        tested += usize::from(!links.is_empty());
        for (name, target) in links {
            let source = fs::read_to_string(docs.join(target));
            let source = source.unwrap_or_else(|error| panic!("{number}: {target}: {error}"));
            assert!(
                has_test(&source, name),
                "{number}: {target} has no test {name}"
            );
        }
    }
    assert!(tested >= 30, "{tested}");
}

#[test]
fn only_tests_count() {
    let source =
        "#[tokio::test(start_paused = true)]\nasync fn a() {}\nfn b() {}\n#[test]\nfn c() {}";
    let found = ["a", "b", "c", "d"].map(|name| has_test(source, name));
    assert_eq!(found, [true, false, true, false]);
}
