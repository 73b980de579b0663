//! Which file of a crate imports from which.

use std::collections::BTreeMap;

use super::order::Order;
use super::scan::{Import, code_only, inner_paths, use_items};

/// The modules of one crate: path below `src` without `.rs` (a folder for its `mod.rs`, nothing for `lib.rs`), and code
/// without comments and literals.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    code: BTreeMap<String, String>,
}

impl Modules {
    /// Adds a source file by its path below `src`, such as `wire/mod.rs`.
    pub(crate) fn add(&mut self, file: &str, source: &str) {
        let module = file.trim_end_matches(".rs");
        let module = module.strip_suffix("mod").unwrap_or(module);
        let module = module.trim_end_matches('/');
        let module = if module == "lib" { "" } else { module };
        self.code.insert(module.to_owned(), code_only(source));
    }

    /// Files in the order that do not exist, files that are not in the order, and imports against it.
    pub(crate) fn problems(&self, order: &Order) -> Vec<String> {
        let mut problems = Vec::new();
        for file in &order.files {
            if !self.code.contains_key(file) {
                problems.push(format!(
                    "ARCHITECTURE.md lists {file}, which does not exist"
                ));
            }
        }
        let files = self
            .code
            .keys()
            .filter(|module| !self.is_contents(module) && !is_test(module));
        for module in files {
            match order.files.iter().position(|file| file == module) {
                Some(rank) => self.check_imports(module, rank, order, &mut problems),
                None => problems.push(format!(
                    "{module} has no place in the order of files in ARCHITECTURE.md"
                )),
            }
        }
        problems
    }

    fn check_imports(&self, module: &str, rank: usize, order: &Order, problems: &mut Vec<String>) {
        let code = self.code.get(module).map_or("", String::as_str);
        for import in inner_paths(code) {
            let at = format!("{module}.rs, line {}", import.line);
            let target = self.resolve(module, &import.path, 0);
            if module == target || module.starts_with(&format!("{target}/")) || target.is_empty() {
                if import.name == "*" {
                    problems.push(format!("{at}: `*` hides what is imported"));
                }
                continue;
            }
            if are_two_sides(module, &target) {
                problems.push(format!(
                    "{at}: client and server import each other ({target})"
                ));
            } else if order.rank(&target).is_none_or(|other| other >= rank) && !is_test(&target) {
                problems.push(format!("{at}: {target} comes later in ARCHITECTURE.md"));
            }
        }
    }

    /// The module in which the item at `path` is, seen from `module`. Follows `use`.
    fn resolve(&self, module: &str, path: &[String], depth: usize) -> String {
        let mut here = module.to_owned();
        for (index, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" => here.clear(),
                "self" => {}
                "super" => here.truncate(here.rfind('/').unwrap_or(0)),
                name => {
                    let child = join(&here, name);
                    if self.code.contains_key(&child) {
                        here = child;
                        continue;
                    }
                    // A chain of `use` this long does not exist; a circle of them could.
                    let known = (depth < 8).then(|| self.known_as(&here, name)).flatten();
                    let Some(import) = known else {
                        return here;
                    };
                    let mut rest = import.path;
                    rest.extend_from_slice(&path[index + 1..]);
                    return self.resolve(&here, &rest, depth + 1);
                }
            }
        }
        here
    }

    /// What `name` is in a table of contents.
    fn known_as(&self, module: &str, name: &str) -> Option<Import> {
        if !self.is_contents(module) {
            return None;
        }
        use_items(self.code.get(module)?)
            .into_iter()
            .find(|import| import.name == name)
    }

    /// Whether the module is a `mod.rs` or `lib.rs`.
    fn is_contents(&self, module: &str) -> bool {
        let folder = format!("{module}/");
        module.is_empty() || self.code.keys().any(|other| other.starts_with(&folder))
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}/{name}")
    }
}

/// Whether a file holds only unit tests.
pub(crate) fn is_test(module: &str) -> bool {
    module
        .split('/')
        .any(|part| part == "tests" || part.ends_with("_tests"))
}

/// Whether one is below `client` and the other below `server` of the same folder.
fn are_two_sides(one: &str, other: &str) -> bool {
    let differing = one.split('/').zip(other.split('/')).find(|(a, b)| a != b);
    matches!(differing, Some(("client", "server") | ("server", "client")))
}
