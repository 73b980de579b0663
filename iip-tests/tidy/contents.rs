//! What a `mod.rs` or `lib.rs` may hold.

/// The first item in `code` (without comments) that a table of contents has no place for. What it may hold: attributes,
/// `mod`, `use`, macros, and inline modules of nothing else.
pub(crate) fn first_foreign_item(code: &str) -> Option<String> {
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        if let Some(attribute) = rest.strip_prefix('#') {
            let end = balanced(attribute, '[', ']');
            rest = attribute[end..].trim_start();
            continue;
        }
        let (item, body, after) = split_item(rest);
        let words = item.trim();
        let visible = words.strip_prefix("pub").map_or(words, |rest| {
            let rest = rest.trim_start();
            let restriction = if rest.starts_with('(') {
                balanced(rest, '(', ')')
            } else {
                0
            };
            rest[restriction..].trim_start()
        });
        let allowed = if visible.starts_with("mod ") {
            body.is_none_or(|body| first_foreign_item(body).is_none())
        } else {
            visible.starts_with("use ") || visible.contains('!')
        };
        if !allowed {
            return Some(words.lines().next().unwrap_or(words).to_owned());
        }
        rest = after.trim_start();
    }
    None
}

/// The item at the start: what is before `;` or a block, the block's inside, and what follows.
fn split_item(code: &str) -> (&str, Option<&str>, &str) {
    let is_use = code.split_whitespace().take(2).any(|word| word == "use");
    let end = if is_use {
        code.find(';')
    } else {
        code.find([';', '{'])
    };
    let Some(end) = end else {
        return (code, None, "");
    };
    if code[end..].starts_with(';') {
        return (&code[..end], None, &code[end + 1..]);
    }
    let close = end + balanced(&code[end..], '{', '}');
    let inside = code[end + 1..close].trim_end_matches('}');
    let after = code[close..].trim_start();
    (
        &code[..end],
        Some(inside),
        after.strip_prefix(';').unwrap_or(after),
    )
}

/// How long the bracketed text is that begins with the first `open`, and all before it.
fn balanced(text: &str, open: char, close: char) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}
