//! Reads .proto files with all that they import, and keeps track of where everything came from.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::error::{Error, ErrorKind};

/// The files of one build, parsed and checked.
pub(crate) struct Sources {
    /// Every file, an imported one before those that import it.
    pub(crate) files: FileDescriptorSet,
    /// The files on disk that were read, imports included.
    pub(crate) read: Vec<PathBuf>,
    /// How messages to the user call a file, by its name in `files`.
    shown: HashMap<String, String>,
    /// Names of the files that were not asked for, only imported.
    imported: HashSet<String>,
    compiler: protox::Compiler,
    /// What `describe` has made.
    described: Vec<Described>,
}

/// A file as others may read it: with the options that this crate does not know, and without comments.
struct Described {
    name: String,
    package: String,
    imports: Vec<String>,
    /// An element of a `FileDescriptorSet`, with its tag and its length.
    element: Vec<u8>,
}

impl Sources {
    /// Reads the files. Relative paths start at `root`, the folder of Cargo.toml.
    ///
    /// Without include folders, the folder under which all imports are found is searched for, from the
    /// folder of the files outward; so that one file never gets two names, a single folder is preferred.
    pub(crate) fn read(
        root: &Path,
        protos: &[PathBuf],
        includes: &[PathBuf],
    ) -> Result<Self, Error> {
        let protos: Vec<PathBuf> = protos.iter().map(|path| absolute(root, path)).collect();
        if protos.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "no .proto file was given to compile",
            ));
        }
        for proto in &protos {
            if !proto.is_file() {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!(
                        "{}: no such file (relative paths start at {})",
                        show(root, proto),
                        root.display()
                    ),
                ));
            }
        }
        if !includes.is_empty() {
            let includes: Vec<PathBuf> = includes.iter().map(|path| absolute(root, path)).collect();
            return parse(root, &protos, &includes).map_err(|refused| refused.error);
        }
        let mut last = None;
        for includes in guesses(root, &protos) {
            match parse(root, &protos, &includes) {
                Ok(sources) => return Ok(sources),
                Err(refused) if refused.not_found => last = Some(refused.error),
                Err(refused) => return Err(refused.error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "no include folder was found")))
    }

    /// Encodes the files for `descriptor_set`.
    pub(crate) fn describe(&mut self) {
        let set = self
            .compiler
            .include_source_info(false)
            .encode_file_descriptor_set();
        let mut rest = set.as_slice();
        for file in &self.files.file {
            let (element, after) = rest.split_at(element_len(rest));
            rest = after;
            self.described.push(Described {
                name: file.name().to_owned(),
                package: file.package().to_owned(),
                imports: file.dependency.clone(),
                element: element.to_owned(),
            });
        }
    }

    /// An encoded `FileDescriptorSet`: the files of the package after all that they import.
    pub(crate) fn descriptor_set(&self, package: &str) -> Vec<u8> {
        let mut wanted: HashSet<&str> = HashSet::new();
        let mut files = Vec::new();
        // Those that are imported come before those that import them.
        for file in self.described.iter().rev() {
            if file.package == package || wanted.contains(file.name.as_str()) {
                wanted.extend(file.imports.iter().map(String::as_str));
                files.push(file);
            }
        }
        let elements = files.into_iter().rev().map(|file| &*file.element);
        elements.collect::<Vec<_>>().concat()
    }

    /// What messages to the user call the file.
    pub(crate) fn shown<'a>(&'a self, file: &'a FileDescriptorProto) -> &'a str {
        self.shown
            .get(file.name())
            .map_or(file.name(), String::as_str)
    }

    /// Whether the file is there only because another imports it.
    pub(crate) fn is_imported(&self, file: &FileDescriptorProto) -> bool {
        self.imported.contains(file.name())
    }
}

/// How many bytes the first element of an encoded list of messages has: a tag of one byte, a length, the message.
fn element_len(list: &[u8]) -> usize {
    let mut len = 0;
    for (index, byte) in list.iter().skip(1).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return index + 2 + len;
        }
    }
    list.len()
}

/// `file:line:column`, where the descriptor at `path` stands in the file.
pub(crate) fn location(shown: &str, file: &FileDescriptorProto, path: &[i32]) -> String {
    let found = file
        .source_code_info
        .iter()
        .flat_map(|info| &info.location)
        .find(|location| location.path == path);
    match found.map(|location| location.span.as_slice()) {
        Some([line, column, ..]) => format!("{shown}:{}:{}", line + 1, column + 1),
        _ => shown.to_owned(),
    }
}

/// An index as locations count it.
pub(crate) fn position(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// Why files were not read, and whether other include folders may help.
struct Refused {
    error: Error,
    not_found: bool,
}

fn parse(root: &Path, protos: &[PathBuf], includes: &[PathBuf]) -> Result<Sources, Refused> {
    let refuse = |error: protox::Error| Refused {
        not_found: error.is_file_not_found(),
        error: explain(root, includes, &error),
    };
    let mut compiler = protox::Compiler::new(includes).map_err(refuse)?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(protos)
        .map_err(refuse)?;
    let mut read = Vec::new();
    let mut shown = HashMap::new();
    let mut imported = HashSet::new();
    for file in compiler.files() {
        if let Some(path) = file.path() {
            shown.insert(file.name().to_owned(), show(root, path));
            read.push(path.to_owned());
        }
        if file.is_import() {
            imported.insert(file.name().to_owned());
        }
    }
    Ok(Sources {
        files: compiler.file_descriptor_set(),
        read,
        shown,
        imported,
        compiler,
        described: Vec::new(),
    })
}

/// The parser's error with the path that the user knows, and with what can be done.
fn explain(root: &Path, includes: &[PathBuf], error: &protox::Error) -> Error {
    // The parser's `Debug` is `file:line:column: text`, its `Display` only the text.
    let mut text = format!("{error:?}");
    let searched = || {
        let folders: Vec<String> = includes
            .iter()
            .map(|include| format!("`{}`", show(root, include)))
            .collect();
        folders.join(", ")
    };
    if let Some(name) = error.file()
        && let Some(rest) = text.strip_prefix(name)
        && let Some(path) = includes
            .iter()
            .map(|include| include.join(name))
            .find(|path| path.is_file())
    {
        text = format!("{}{rest}", show(root, &path));
    }
    if error.is_io() {
        return Error::new(ErrorKind::Io, text);
    }
    if error.is_parse() && text.contains("but found 'edition'") {
        let place = text.split(": expected").next().unwrap_or(&text);
        return Error::new(
            ErrorKind::Unsupported,
            format!(
                "{place}: protobuf editions are not supported; declare `syntax = \"proto3\";` or \
                 `syntax = \"proto2\";` instead of an edition"
            ),
        );
    }
    if error.is_file_not_found() {
        text.push_str(&format!(
            " (looked in {}; `configure().include(..)` names the folder that imports start at)",
            searched()
        ));
    }
    Error::new(ErrorKind::Proto, text)
}

/// Lists of include folders to try, the likeliest first.
fn guesses(root: &Path, protos: &[PathBuf]) -> Vec<Vec<PathBuf>> {
    let folders: Vec<&Path> = protos.iter().filter_map(|proto| proto.parent()).collect();
    let Some(first) = folders.first() else {
        return Vec::new();
    };
    // Outward from the folder that holds all files, up to the first that holds the crate as well.
    let mut outward = Vec::new();
    for folder in first.ancestors() {
        if folders.iter().all(|other| other.starts_with(folder)) {
            outward.push(folder.to_owned());
            if root.starts_with(folder) {
                break;
            }
        }
    }
    let mut everywhere: Vec<PathBuf> = Vec::new();
    for folder in folders
        .into_iter()
        .map(Path::to_owned)
        .chain(outward.clone())
    {
        if !everywhere.contains(&folder) {
            everywhere.push(folder);
        }
    }
    let mut guesses: Vec<Vec<PathBuf>> = outward.into_iter().map(|folder| vec![folder]).collect();
    if everywhere.len() > 1 {
        guesses.push(everywhere);
    }
    guesses
}

/// The path from the root of the file system on, without `.` and `..`.
fn absolute(root: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in root.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// The path as the user would write it: relative to the crate where it lies inside.
fn show(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    if inside.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        inside.display().to_string()
    }
}
