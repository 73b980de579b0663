//! As much of Go's `url.Parse` as decides what becomes of a path.

/// A path as the reference's server understands it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Url {
    /// Decoded, without authority, query and fragment. Any bytes, and perhaps none.
    pub path: Vec<u8>,
    /// The query, decoded, in its order.
    pub query: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Url {
    /// The first value of a name in the query; empty if there is none.
    pub fn value(&self, name: &str) -> String {
        let found = self.query.iter().find(|(key, _)| key == name.as_bytes());
        let value = found.map(|(_, value)| value.as_slice()).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }
}

/// Parses a path. `None`: the reference takes the raw one instead.
pub fn parse(raw: &[u8]) -> Option<Url> {
    if raw.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
        return None;
    }
    let (rest, fragment) = cut(raw, b'#');
    unescape(fragment, false)?;
    let (scheme, rest) = split_scheme(rest)?;
    let (rest, query) = cut(rest, b'?');
    let query = pairs(query);
    if !rest.starts_with(b"/") {
        if scheme {
            // Opaque, such as `mailto:a`: there is no path.
            return Some(Url {
                path: Vec::new(),
                query,
            });
        }
        let (segment, _) = cut(rest, b'/');
        if segment.contains(&b':') {
            return None;
        }
    }
    let has_authority = rest.starts_with(b"//") && (scheme || !rest.starts_with(b"///"));
    let path = if has_authority {
        let after = &rest[2..];
        let end = after.iter().position(|byte| *byte == b'/');
        &after[end.unwrap_or(after.len())..]
    } else {
        rest
    };
    Some(Url {
        path: unescape(path, false)?,
        query,
    })
}

fn cut(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == at) {
        Some(position) => (&bytes[..position], &bytes[position + 1..]),
        None => (bytes, &[]),
    }
}

/// Whether there is a scheme, and what follows it. `None`: a scheme without a name.
fn split_scheme(raw: &[u8]) -> Option<(bool, &[u8])> {
    for (at, byte) in raw.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((true, &raw[at + 1..])),
            _ => break,
        }
    }
    Some((false, raw))
}

fn pairs(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    query
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty() && !pair.contains(&b';'))
        .filter_map(|pair| {
            let (name, value) = cut(pair, b'=');
            Some((unescape(name, true)?, unescape(value, true)?))
        })
        .collect()
}

fn unescape(bytes: &[u8], plus_is_space: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Some(decoded)
}
