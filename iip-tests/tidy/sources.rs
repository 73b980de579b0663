//! The source files of a crate.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path below the folder that was read, with `/`.
    pub(crate) file: String,
    pub(crate) text: String,
}

impl Source {
    /// The file's name without folders.
    pub(crate) fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

/// The repository, seen from a crate in it.
pub(crate) fn repository(manifest_dir: &str) -> PathBuf {
    Path::new(manifest_dir)
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// A text file of the repository.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// Every file below `folder` with this extension, in the order of their names. Build output and generated golden files are
/// not read.
pub(crate) fn sources(folder: &Path, extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(folder, "", extension, &mut found);
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

fn collect(folder: &Path, below: &str, extension: &str, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let file = format!("{below}{name}");
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, &format!("{file}/"), extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension)
            && !name.ends_with("_expected.rs")
        {
            let text = read(&path);
            found.push(Source { file, text });
        }
    }
}
