//! Carries comments past prost: each is replaced by a marker before prost sees it, and put back as
//! documentation afterwards.
//!
//! prost escapes comments a line at a time, inside of code as well, and leaves indented examples to be
//! run as tests. With markers one set of rules (see `markdown`) holds for messages and services alike.

use prost_types::FileDescriptorSet;

use crate::markdown;

const MARKER: &str = "iip-comment-";

/// The comments that were taken out, each as lines of documentation.
pub(crate) struct Docs {
    comments: Vec<Vec<String>>,
}

impl Docs {
    /// Replaces every comment of the files by a marker.
    pub(crate) fn take(files: &mut FileDescriptorSet) -> Self {
        let mut docs = Self {
            comments: Vec::new(),
        };
        let infos = files
            .file
            .iter_mut()
            .filter_map(|file| file.source_code_info.as_mut());
        for location in infos.flat_map(|info| &mut info.location) {
            location.leading_detached_comments.clear();
            location.leading_comments = docs.mark(location.leading_comments.take());
            location.trailing_comments = docs.mark(location.trailing_comments.take());
        }
        docs
    }

    fn mark(&mut self, comment: Option<String>) -> Option<String> {
        let lines = markdown::clean(&comment?);
        if lines.is_empty() {
            return None;
        }
        self.comments.push(lines);
        Some(format!("{MARKER}{}", self.comments.len() - 1))
    }

    /// The lines that stand for a line of code: the comment where it is a marker, else none.
    pub(crate) fn of_line(&self, line: &str) -> Option<&[String]> {
        let marker = line.trim_start().strip_prefix("///")?.trim_start();
        let number: usize = marker.strip_prefix(MARKER)?.trim_end().parse().ok()?;
        self.comments.get(number).map(Vec::as_slice)
    }
}
