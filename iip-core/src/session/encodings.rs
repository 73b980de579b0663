use super::json::{Value, write_string};

/// Names that `docs/protocol.md` defines, section 6.3. Others are ignored.
const NAMES: [&str; 3] = ["zstd", "lz4", "gzip"];

/// Encodings of compressed messages that a peer reads, as it says in the hello. This crate does not compress: it only
/// lets both sides know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Encodings {
    /// One bit for each of [`NAMES`].
    bits: u8,
}

fn bit(name: &str) -> u8 {
    NAMES
        .iter()
        .position(|known| *known == name)
        .map_or(0, |index| 1 << index)
}

impl Encodings {
    /// None.
    pub const NONE: Self = Self { bits: 0 };

    /// These and the one with this name, if the protocol defines it.
    #[must_use]
    pub fn with(self, name: &str) -> Self {
        Self {
            bits: self.bits | bit(name),
        }
    }

    /// Whether the one with this name is among them.
    pub fn contains(self, name: &str) -> bool {
        self.bits & bit(name) != 0
    }

    /// Appends the names as a JSON array.
    pub(super) fn write(self, out: &mut String) {
        out.push('[');
        let names = NAMES.into_iter().filter(|name| self.contains(name));
        for (index, name) in names.enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_string(out, name);
        }
        out.push(']');
    }

    /// The names in a JSON array; none if it is not one.
    pub(super) fn read(value: Option<&Value>) -> Self {
        let Some(Value::Array(values)) = value else {
            return Self::NONE;
        };
        values
            .iter()
            .filter_map(Value::as_str)
            .fold(Self::NONE, Self::with)
    }
}
