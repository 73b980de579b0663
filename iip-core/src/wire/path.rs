use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::MAX_PATH;

/// A path in its one canonical form, with an optional query (`docs/protocol.md`, section 3).
///
/// It begins with `/`, its segments hold only `A-Z a-z 0-9 . _ ~ -`, none is empty (but the last) or a dot
/// segment, and the whole is at most 2,048 bytes. The query, after the first `?`, holds printable URL characters; a
/// percent escape must not hide a control character. What is not in this form is refused, never repaired, so
/// that routing, authorization, logs and the answer all see the same text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    text: Bytes,
    /// Length of the part before `?`.
    length: u16,
}

/// Why a text is no [`Path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`.
    NoLeadingSlash,
    /// It is longer than 2,048 bytes.
    TooLong,
    /// A segment is empty, `.` or `..`.
    BadSegment,
    /// A byte that is not allowed where it stands.
    BadByte(u8),
    /// A `%` in the query that does not begin a valid escape, or one that hides a control character.
    BadEscape,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash => f.write_str("a path must begin with '/'"),
            Self::TooLong => write!(f, "a path may have at most {MAX_PATH} bytes"),
            Self::BadSegment => f.write_str("a path must not have empty or dot segments"),
            Self::BadByte(byte) => write!(
                f,
                "byte 0x{byte:02x} is not allowed in a path: use A-Z a-z 0-9 . _ ~ - and '/', \
                 and percent-encode what goes into the query"
            ),
            Self::BadEscape => {
                f.write_str("a query must hold only valid escapes and no control characters")
            }
        }
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// The path `/`, which native peers put on responses and following frames.
    pub const ROOT: Self = Self::from_static("/");

    /// Validates `text`.
    ///
    /// # Errors
    ///
    /// The text is not in canonical form.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let length = validate(text.as_bytes())?;
        check_query(text.as_bytes(), length)?;
        Ok(Self {
            text: Bytes::copy_from_slice(text.as_bytes()),
            length: length as u16,
        })
    }

    /// A path from a constant.
    ///
    /// # Panics
    ///
    /// The text is not in canonical form. In a `const` or `static` that is an error of the build.
    pub const fn from_static(text: &'static str) -> Self {
        match validate(text.as_bytes()) {
            Ok(length) => Self {
                text: Bytes::from_static(text.as_bytes()),
                length: length as u16,
            },
            Err(_) => panic!("not a canonical path"),
        }
    }

    /// Validates a path as it came off the wire, without copying it.
    ///
    /// # Errors
    ///
    /// The bytes are not in canonical form.
    pub fn from_wire(text: Bytes) -> Result<Self, PathError> {
        let length = validate(&text)?;
        check_query(&text, length)?;
        Ok(Self {
            text,
            length: length as u16,
        })
    }

    /// The whole text, query included.
    pub fn as_str(&self) -> &str {
        // Validation lets only ASCII through.
        std::str::from_utf8(&self.text).unwrap_or("/")
    }

    /// The part before the query.
    pub fn path(&self) -> &str {
        self.as_str().get(..usize::from(self.length)).unwrap_or("/")
    }

    /// The part after `?`, still encoded.
    pub fn query(&self) -> Option<&str> {
        self.as_str().get(usize::from(self.length) + 1..)
    }

    /// The query's names and values, decoded, in their order.
    pub fn query_pairs(&self) -> QueryPairs<'_> {
        QueryPairs {
            rest: self.query().unwrap_or(""),
        }
    }

    /// The decoded value of the first parameter with this name.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// This path without its query, sharing the same memory.
    pub fn without_query(&self) -> Self {
        Self {
            text: self.text.slice(..usize::from(self.length)),
            length: self.length,
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({:?})", self.as_str())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

/// Iterator over a query's decoded names and values; made by [`Path::query_pairs`].
#[derive(Debug, Clone)]
pub struct QueryPairs<'a> {
    rest: &'a str,
}

impl<'a> Iterator for QueryPairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (pair, rest) = self.rest.split_once('&').unwrap_or((self.rest, ""));
            self.rest = rest;
            if !pair.is_empty() {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                return Some((decode_component(key), decode_component(value)));
            }
        }
    }
}

fn decode_component(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let decoded = decode_escapes(text.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn decode_escapes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let high = bytes.next().copied().and_then(hex_value).unwrap_or(0);
                let low = bytes.next().copied().and_then(hex_value).unwrap_or(0);
                out.push(high << 4 | low);
            }
            _ => out.push(byte),
        }
    }
    out
}

const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Checks everything but the UTF-8 of decoded escapes, and returns the length before the query.
const fn validate(text: &[u8]) -> Result<usize, PathError> {
    if text.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    if text.is_empty() || text[0] != b'/' {
        return Err(PathError::NoLeadingSlash);
    }
    let mut segment = 1;
    let mut at = 1;
    while at < text.len() && text[at] != b'?' {
        match text[at] {
            b'/' => {
                if at == segment || is_dots(text, segment, at) {
                    return Err(PathError::BadSegment);
                }
                segment = at + 1;
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'~' | b'-' => {}
            byte => return Err(PathError::BadByte(byte)),
        }
        at += 1;
    }
    if is_dots(text, segment, at) {
        return Err(PathError::BadSegment);
    }
    let length = at;
    at += 1;
    while at < text.len() {
        match text[at] {
            b'%' => {
                if at + 2 >= text.len() {
                    return Err(PathError::BadEscape);
                }
                match (hex_value(text[at + 1]), hex_value(text[at + 2])) {
                    (Some(high), Some(low)) => {
                        let byte = high << 4 | low;
                        if byte < 0x20 || byte == 0x7f {
                            return Err(PathError::BadEscape);
                        }
                    }
                    _ => return Err(PathError::BadEscape),
                }
                at += 2;
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => {}
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' => {}
            byte => return Err(PathError::BadByte(byte)),
        }
        at += 1;
    }
    Ok(length)
}

const fn is_dots(text: &[u8], from: usize, to: usize) -> bool {
    (to - from == 1 && text[from] == b'.')
        || (to - from == 2 && text[from] == b'.' && text[from + 1] == b'.')
}

fn check_query(text: &[u8], length: usize) -> Result<(), PathError> {
    let query = text.get(length..).unwrap_or(&[]);
    if query.contains(&b'%') && std::str::from_utf8(&decode_escapes(query)).is_err() {
        return Err(PathError::BadEscape);
    }
    Ok(())
}
