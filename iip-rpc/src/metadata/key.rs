use std::borrow::{Borrow, Cow};
use std::fmt;
use std::ops::Deref;

use super::error::{MAX_KEY, MetadataError};

/// A valid key: 1 to 128 bytes of `a-z 0-9 - _ .`. Upper case letters are made lower case. Under a key that ends with
/// `-bin` values are arbitrary bytes, under any other they are printable ASCII text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetadataKey {
    text: Cow<'static, str>,
}

/// A key that holds one of these is taken for a secret, and its values are kept out of logs.
const SENSITIVE: [&str; 16] = [
    "authorization",
    "x-auth",
    "cookie",
    "token",
    "bearer",
    "jwt",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "signature",
    "session-id",
    "api-key",
    "apikey",
    "private-key",
];

impl MetadataKey {
    /// Longest key, bytes.
    pub const MAX_LEN: usize = MAX_KEY;

    /// A key from a constant, without copying it.
    ///
    /// # Panics
    ///
    /// The text is not a valid key in lower case. In a `const` that is an error of the build.
    pub const fn from_static(text: &'static str) -> Self {
        match validate(text.as_bytes()) {
            Ok(()) => Self {
                text: Cow::Borrowed(text),
            },
            Err(_) => panic!("not a metadata key in lower case"),
        }
    }

    /// A key as a peer sent it: one spelling only, so upper case is an error.
    pub(super) fn from_wire(text: String) -> Result<Self, MetadataError> {
        validate(text.as_bytes())?;
        Ok(Self {
            text: Cow::Owned(text),
        })
    }

    /// The key in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether values under this key are arbitrary bytes.
    pub fn is_binary(&self) -> bool {
        self.text.ends_with("-bin")
    }

    /// Whether values under this key look like secrets, by its name (`authorization`, `cookie`, anything with `token`,
    /// `secret`, `api-key`, …), and are kept out of [`Debug`](fmt::Debug) output.
    pub fn is_sensitive(&self) -> bool {
        let same = |one: u8, other: u8| one == other || other == b'-' && matches!(one, b'_' | b'.');
        SENSITIVE.iter().any(|word| {
            self.text.as_bytes().windows(word.len()).any(|part| {
                let mut pairs = part.iter().zip(word.bytes());
                pairs.all(|(one, other)| same(*one, other))
            })
        })
    }
}

const fn validate(text: &[u8]) -> Result<(), MetadataError> {
    if text.is_empty() {
        return Err(MetadataError::EmptyKey);
    }
    if text.len() > MetadataKey::MAX_LEN {
        return Err(MetadataError::KeyTooLong { len: text.len() });
    }
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => at += 1,
            byte => return Err(MetadataError::BadKeyByte { byte }),
        }
    }
    Ok(())
}

impl TryFrom<&str> for MetadataKey {
    type Error = MetadataError;

    fn try_from(text: &str) -> Result<Self, MetadataError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for MetadataKey {
    type Error = MetadataError;

    fn try_from(mut text: String) -> Result<Self, MetadataError> {
        text.make_ascii_lowercase();
        Self::from_wire(text)
    }
}

impl Deref for MetadataKey {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for MetadataKey {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for MetadataKey {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for MetadataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl fmt::Display for MetadataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
