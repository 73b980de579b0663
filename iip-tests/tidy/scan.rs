//! Enough of a Rust reader to find out what a file imports: comments and literals blanked out, `use` trees spread.

/// The source with every comment, string and character literal replaced by blanks. Lines stay where they are.
pub(crate) fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip_one(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { c } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none begins there.
fn skip_one(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => find(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => skip_block_comment(chars, at),
        '"' => skip_string(chars, at + 1),
        'r' if !follows_word(chars, at) => skip_raw_string(chars, at + 1).unwrap_or(at),
        'b' | 'c' if !follows_word(chars, at) && next == Some('r') => {
            skip_raw_string(chars, at + 2).unwrap_or(at)
        }
        '\'' if next == Some('\\') => find(chars, at + 3, |c| c == '\'') + 1,
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len())
        .find(|&at| wanted(chars[at]))
        .unwrap_or(chars.len())
}

fn skip_block_comment(chars: &[char], from: usize) -> usize {
    let mut depth = 0usize;
    let mut at = from;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn skip_string(chars: &[char], from: usize) -> usize {
    let mut at = from;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// `from` is behind the `r`.
fn skip_raw_string(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from..].iter().take_while(|&&c| c == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let mut at = from + hashes + 1;
    while at < chars.len() {
        let closing = chars.get(at + 1..at + 1 + hashes);
        if chars[at] == '"' && closing.is_some_and(|tail| tail.iter().all(|&c| c == '#')) {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_word(chars[at - 1])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A path in the code, and the name under which it is known from there on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// `crate`, `super` or another first segment, then the others. `*` stands for a glob.
    pub(crate) path: Vec<String>,
    /// The name it gets.
    pub(crate) name: String,
    /// Line, counted from 1.
    pub(crate) line: usize,
}

/// Every path in `code` that begins with `crate` or `super`, in `use` items and elsewhere.
pub(crate) fn inner_paths(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for first in ["crate", "super"] {
        for (at, _) in code.match_indices(first) {
            let before = code[..at].trim_end();
            let in_word = code[..at].ends_with(|c: char| is_word(c) || c == '$');
            let restriction = before.ends_with("(in") || before.ends_with("::");
            if in_word || restriction || !code[at + first.len()..].trim_start().starts_with("::") {
                continue;
            }
            read_tree(&code[at..], &[], line_of(code, at), &mut found);
        }
    }
    found
}

/// What the `use` items of `code` bring into scope, whatever they begin with.
pub(crate) fn use_items(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let in_word = code[..at].ends_with(is_word);
        if !in_word {
            read_tree(&code[at + 4..], &[], line_of(code, at), &mut found);
        }
    }
    found
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Reads one path or `use` tree at the start of `text`; returns how much of it was read.
fn read_tree(text: &str, prefix: &[String], line: usize, found: &mut Vec<Import>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        at += blanks(&text[at..]);
        if text[at..].starts_with('{') {
            return at + read_group(&text[at..], &path, line, found);
        }
        if text[at..].starts_with('*') {
            path.push(String::from("*"));
            at += 1;
            break;
        }
        let word: String = text[at..].chars().take_while(|&c| is_word(c)).collect();
        if word.is_empty() {
            break;
        }
        at += word.len();
        path.push(word);
        let gap = blanks(&text[at..]);
        if !text[at + gap..].starts_with("::") {
            break;
        }
        at += gap + 2;
    }
    let gap = blanks(&text[at..]);
    let mut name = path.last().cloned().unwrap_or_default();
    if let Some(alias) = text[at + gap..].strip_prefix("as ") {
        let skipped = blanks(alias);
        name = alias[skipped..]
            .chars()
            .take_while(|&c| is_word(c))
            .collect();
        at += gap + "as ".len() + skipped + name.len();
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
        if name == "self" {
            name = path.last().cloned().unwrap_or_default();
        }
    }
    if !path.is_empty() {
        found.push(Import { path, name, line });
    }
    at
}

fn read_group(text: &str, prefix: &[String], line: usize, found: &mut Vec<Import>) -> usize {
    let mut at = 1;
    while at < text.len() {
        at += blanks(&text[at..]);
        match text[at..].chars().next() {
            None => break,
            Some('}') => return at + 1,
            Some(',') => at += 1,
            Some(other) => {
                let line = line + text[..at].matches('\n').count();
                let read = read_tree(&text[at..], prefix, line, found);
                at += if read == 0 { other.len_utf8() } else { read };
            }
        }
    }
    text.len()
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}
