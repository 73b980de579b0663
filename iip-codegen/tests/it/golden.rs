//! What is generated for the fixtures, letter by letter. `IIP_BLESS=1` writes down what is generated now.

use std::path::Path;
use std::{env, fs};

use crate::cases::{CASES, Case};
use crate::empty_folder;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

#[test]
fn every_fixture_generates_what_is_expected() {
    let bless = env::var_os("IIP_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in CASES {
        let expected = Path::new(FIXTURES).join(case.name).join("_expected.rs");
        let generated = generate(case);
        if bless {
            fs::write(&expected, &generated).expect("the expectation can be written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != generated {
            wrong.push(format!(
                "{}: {}",
                case.name,
                first_difference(&expected, &generated)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "IIP_BLESS=1 writes down what is generated now; different are:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_folder_is_a_case() {
    let mut folders: Vec<String> = fs::read_dir(FIXTURES)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("the entry can be read"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("a name in UTF-8"))
        .collect();
    folders.sort();
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(folders, cases);
}

/// All files of the case, one after another with their names.
fn generate(case: &Case) -> String {
    let out = empty_folder(&format!("golden-{}", case.name));
    let folder = Path::new(FIXTURES).join(case.name);
    let protos: Vec<_> = case.protos.iter().map(|proto| folder.join(proto)).collect();
    (case.configure)(iip_codegen::configure())
        .out_dir(&out)
        .include_file("_include.rs")
        .compile(protos)
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut names: Vec<_> = fs::read_dir(&out)
        .expect("the output is there")
        .map(|entry| entry.expect("the entry can be read").path())
        .collect();
    names.sort();
    let mut text = String::new();
    for path in names {
        let name = path
            .file_name()
            .expect("a file has a name")
            .to_string_lossy();
        let content = fs::read(&path).expect("the file can be read");
        // What is in a file of descriptors is tested where it is decoded.
        let code = match path.extension() {
            Some(extension) if extension == "binpb" => format!("// {} bytes\n", content.len()),
            _ => String::from_utf8(content).expect("code is text"),
        };
        text.push_str(&format!("// ---- {name} ----\n{code}"));
    }
    text
}

fn first_difference(expected: &Path, generated: &str) -> String {
    let expected = fs::read_to_string(expected).unwrap_or_default();
    let mut lines = expected.lines();
    for (number, line) in generated.lines().enumerate() {
        let other = lines.next();
        if other != Some(line) {
            return format!(
                "line {}: {:?} became {line:?}",
                number + 1,
                other.unwrap_or_default()
            );
        }
    }
    "the end is missing".to_owned()
}
