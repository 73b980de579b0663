use std::fmt;
use std::str::FromStr;

/// An endpoint's share of the calls, in proportion to the others': from 1, the default, to 100.
///
/// An endpoint of weight 2 is sent twice as many calls as one of weight 1. To send it none, leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u8);

impl Weight {
    /// The smallest weight, 1.
    pub const MIN: Self = Self(1);
    /// The largest weight, 100.
    pub const MAX: Self = Self(100);

    /// A weight; `None` unless it is from 1 to 100.
    pub const fn new(weight: u8) -> Option<Self> {
        match weight {
            1..=100 => Some(Self(weight)),
            _ => None,
        }
    }

    /// The number, from 1 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::MIN
    }
}

impl FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `u8::from_str` alone would take "+5".
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.and_then(Self::new).ok_or(WeightError)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a [`Weight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WeightError;

impl fmt::Display for WeightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a weight is a whole number from 1 to 100")
    }
}

impl std::error::Error for WeightError {}
