//! Tests of the whole crate: what is generated, and what is refused.

mod cases {
    include!("../../fixtures/cases.rs");
}
mod golden;
mod include_folders;
mod no_protoc;
mod refusals;
mod settings;
mod tidy;

use std::fs;
use std::path::{Path, PathBuf};

/// An empty folder for the test of the given name.
fn empty_folder(name: &str) -> PathBuf {
    // A test that runs another in a further process names a folder for it.
    let run = std::env::var("IIP_TEST_RUN").unwrap_or_else(|_| "first".to_owned());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(run).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder can be removed");
    }
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// Writes files, each a name and its text, into an empty folder.
fn folder_of(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = empty_folder(name);
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().expect("every file lies in a folder");
        fs::create_dir_all(parent).expect("the folder can be made");
        fs::write(&path, text).expect("the file can be written");
    }
    folder
}
