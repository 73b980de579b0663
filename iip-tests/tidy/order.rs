//! The order of files, read from the blocks marked `text order CRATE` of ARCHITECTURE.md.
//!
//! A line at the margin is a folder (it ends in `/`) or a file, then words about it; `pure` as the first of them says that
//! the folder's code does no input or output, reads no clock and takes no lock. An indented line lists files of the folder
//! above it; `a/{b,c}` stands for `a/b` and `a/c`.

/// The files of one crate, those that may be imported first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// Paths below `src`, without `.rs`.
    pub(crate) files: Vec<String>,
    /// Folders below `src`.
    pub(crate) pure: Vec<String>,
}

impl Order {
    /// The order of this crate; `None` if the text has none.
    pub(crate) fn read(architecture: &str, crate_name: &str) -> Option<Self> {
        let opening = format!("```text order {crate_name}");
        let mut lines = architecture.lines().skip_while(|line| *line != opening);
        lines.next()?;
        let mut order = Self::default();
        let mut folder = String::new();
        for line in lines.take_while(|line| *line != "```") {
            if line.starts_with(' ') {
                for word in line.split_whitespace() {
                    order.add(&folder, word);
                }
                continue;
            }
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else {
                continue;
            };
            if let Some(name) = name.strip_suffix('/') {
                folder = format!("{name}/");
                if words.next().map(|word| word.trim_end_matches([',', ':'])) == Some("pure") {
                    order.pure.push(name.to_owned());
                }
            } else {
                order.add("", name);
            }
        }
        Some(order)
    }

    fn add(&mut self, folder: &str, word: &str) {
        match word.strip_suffix('}').and_then(|word| word.split_once('{')) {
            Some((stem, names)) => {
                let files = names.split(',').map(|name| format!("{folder}{stem}{name}"));
                self.files.extend(files);
            }
            None => self.files.push(format!("{folder}{word}")),
        }
    }

    /// The place of a module: of its file, or of the last file in its folder.
    pub(crate) fn rank(&self, module: &str) -> Option<usize> {
        let folder = format!("{module}/");
        self.files
            .iter()
            .rposition(|file| file == module || file.starts_with(&folder))
    }
}
