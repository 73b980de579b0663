//! Turns the text of a comment into Markdown that rustdoc shows as it was meant: nothing in it becomes a
//! test, a link that does not exist, or a tag; and nothing in it makes rustdoc or clippy warn.

/// Spaces that make a paragraph a block of code.
const CODE_INDENT: usize = 4;

/// Words after ``` that make rustdoc run a block, or treat it in a special way.
const RUN_BY_RUSTDOC: &[&str] = &[
    "rust",
    "ignore",
    "should_panic",
    "no_run",
    "compile_fail",
    "test_harness",
    "custom",
];

/// The lines of a comment as documentation; empty if the comment says nothing.
pub(crate) fn clean(comment: &str) -> Vec<String> {
    let mut cleaner = Cleaner::default();
    for line in unindent(comment) {
        cleaner.line(&line);
    }
    cleaner.finish()
}

/// The lines without the indentation that all have, without tabs, and without empty lines at the ends.
fn unindent(comment: &str) -> Vec<String> {
    let mut lines: Vec<String> = comment
        .lines()
        .map(|line| line.trim_end().replace('\t', "    "))
        .collect();
    // `/// text` is a comment that starts with a slash.
    if lines
        .iter()
        .all(|line| line.is_empty() || line.starts_with('/'))
    {
        for line in &mut lines {
            *line = line.trim_start_matches('/').to_owned();
        }
    }
    let indent = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| indentation(line))
        .min()
        .unwrap_or(0);
    let mut lines: Vec<String> = lines
        .iter()
        .map(|line| line.get(indent..).unwrap_or_default().to_owned())
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
    lines.split_off(first)
}

/// Where in the text the next line stands.
#[derive(Default)]
enum Place {
    /// At the start, or after an empty line.
    #[default]
    Between,
    /// After a line of a paragraph.
    Paragraph,
    /// In a block between fences such as the one given.
    Fenced { fence: String, indent: usize },
    /// In a block that is code by its indentation.
    Indented { start: usize },
    /// After a line that starts with `>`.
    Quote,
}

#[derive(Default)]
struct Cleaner {
    lines: Vec<String>,
    place: Place,
    /// The indentation of the text of the list item that the line may belong to.
    item: Option<usize>,
}

impl Cleaner {
    fn line(&mut self, line: &str) {
        let indent = indentation(line);
        let text = line.trim_start();
        match std::mem::take(&mut self.place) {
            Place::Fenced { fence, indent } => {
                self.lines.push(line.to_owned());
                if !text.starts_with(&fence) || !text.trim_start_matches(&fence[..1]).is_empty() {
                    self.place = Place::Fenced { fence, indent };
                }
                return;
            }
            Place::Indented { start } => {
                if text.is_empty() || indent >= CODE_INDENT {
                    self.lines
                        .push(line.get(CODE_INDENT..).unwrap_or_default().to_owned());
                    self.place = Place::Indented { start };
                    return;
                }
                self.end_indented(start);
            }
            place => self.place = place,
        }
        if text.is_empty() {
            self.lines.push(String::new());
            self.place = Place::Between;
            return;
        }
        let between = matches!(self.place, Place::Between);
        if between && self.item.is_some_and(|content| indent < content.min(2)) && !is_item(text) {
            self.item = None;
        }
        if between && self.item.is_none() && indent >= CODE_INDENT {
            let start = self.lines.len();
            self.lines
                .push(line.get(CODE_INDENT..).unwrap_or_default().to_owned());
            self.place = Place::Indented { start };
        } else if let Some(fence) = fence_of(text) {
            let language = language(text.trim_start_matches(&fence[..1]));
            let indent = self
                .item
                .map_or(indent.min(3), |content| indent.min(content + 3));
            self.push(indent, &format!("{fence}{language}"));
            self.place = Place::Fenced { fence, indent };
        } else if let Some(marker) = item_marker(text) {
            let indent = self
                .item
                .map_or(indent.min(3), |content| indent.min(content + 3));
            self.item = Some(indent + marker);
            self.push(indent, &escape(text));
            self.place = Place::Paragraph;
        } else if let Some(quoted) = text.strip_prefix('>') {
            self.push(indent.min(3), &format!(">{}", escape(quoted)));
            self.place = Place::Quote;
        } else if matches!(self.place, Place::Quote) {
            // clippy wants every line of a quotation marked.
            self.push(0, &format!("> {}", escape(text)));
            self.place = Place::Quote;
        } else {
            // clippy wants the lines of an item below its text, no further left or right.
            let indent = self.item.unwrap_or_default();
            self.push(indent, &escape(text));
            self.place = Place::Paragraph;
        }
    }

    fn push(&mut self, indent: usize, text: &str) {
        self.lines.push(format!("{}{text}", " ".repeat(indent)));
    }

    /// Puts fences around the lines since `start`.
    fn end_indented(&mut self, start: usize) {
        let mut code = self.lines.split_off(start);
        let blank = code.iter().rev().take_while(|line| line.is_empty()).count();
        code.truncate(code.len() - blank);
        let ticks = code
            .iter()
            .map(|line| line.trim_start())
            .map(|line| line.len() - line.trim_start_matches('`').len())
            .max()
            .unwrap_or(0);
        let fence = "`".repeat(3.max(ticks + 1));
        self.lines.push(format!("{fence}text"));
        self.lines.append(&mut code);
        self.lines.push(fence);
        self.lines.extend(std::iter::repeat_n(String::new(), blank));
    }

    fn finish(mut self) -> Vec<String> {
        match std::mem::take(&mut self.place) {
            Place::Indented { start } => self.end_indented(start),
            // An open fence would swallow what is written below the comment.
            Place::Fenced { fence, indent } => self.push(indent, &fence),
            Place::Between | Place::Paragraph | Place::Quote => {}
        }
        self.lines
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The fence that the line opens a block with, if it does.
fn fence_of(text: &str) -> Option<String> {
    let mark = text
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let length = text.chars().take_while(|letter| *letter == mark).count();
    let info = text.get(length..)?;
    // ```code``` on one line is not a block.
    (length >= 3 && !(mark == '`' && info.contains('`'))).then(|| mark.to_string().repeat(length))
}

/// The language of a block, such that rustdoc does not take it for a test.
fn language(info: &str) -> &str {
    let separators =
        |letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | '+'));
    let word = info.trim().split(separators).next().unwrap_or_default();
    let runs = word.is_empty()
        || RUN_BY_RUSTDOC.contains(&word)
        || word.starts_with("edition")
        || word.starts_with("ignore")
        || word.starts_with("standalone")
        || word.starts_with('E');
    if runs { "text" } else { word }
}

fn is_item(text: &str) -> bool {
    item_marker(text).is_some()
}

/// The width of the marker of a list item with the spaces after it, if the text starts with one.
fn item_marker(text: &str) -> Option<usize> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let mark = match (digits, text.chars().nth(digits)?) {
        (0, '-' | '*' | '+') => 1,
        (1..=9, '.' | ')') => digits + 1,
        _ => return None,
    };
    let rest = text.get(mark..)?;
    let spaces = indentation(rest);
    match spaces {
        0 => None,
        1..=4 => Some(mark + spaces),
        _ => Some(mark + 1),
    }
}

/// The text of a line with links, tags and addresses made harmless, code spans left alone.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let taken = if letter == '\\' {
            // What is escaped already stays as it is.
            letter.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else if letter == '`' {
            code_span(rest)
        } else if let Some(length) = link(rest) {
            length
        } else if let Some(length) = autolink(rest) {
            length
        } else if let Some(length) = address(rest) {
            escaped.push('<');
            escaped.push_str(&rest[..length]);
            escaped.push('>');
            rest = &rest[length..];
            continue;
        } else {
            if matches!(letter, '[' | ']' | '<') {
                escaped.push('\\');
            }
            letter.len_utf8()
        };
        escaped.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    escaped
}

/// The length of the code span at the start of the text, or of its backticks if none closes it.
fn code_span(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let mut at = ticks;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        if run == ticks {
            return start + run;
        }
        at = start + run;
    }
    ticks
}

/// The length of `[text](https://…)` at the start of the text.
fn link(text: &str) -> Option<usize> {
    let label = text.strip_prefix('[')?;
    let end = label.find([']', '[', '`', '<'])?;
    let target = label[end..].strip_prefix("](")?;
    address(target)?;
    let close = target.find([')', ' '])?;
    target[close..]
        .starts_with(')')
        .then_some(1 + end + 2 + close + 1)
}

/// The length of `<https://…>` at the start of the text.
fn autolink(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('<')?;
    address(inside)?;
    let close = inside.find(['>', ' ', '<'])?;
    inside[close..].starts_with('>').then_some(close + 2)
}

/// The length of the address at the start of the text, without punctuation that ends the sentence.
fn address(text: &str) -> Option<usize> {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))?;
    let end = text
        .find(|letter: char| {
            letter.is_whitespace() || matches!(letter, '<' | '>' | ')' | '"' | '`' | ']')
        })
        .unwrap_or(text.len());
    let length = text[..end]
        .trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*'])
        .len();
    (length > scheme.len()).then_some(length)
}
