//! Reads `--name value` pairs.

use std::fmt;
use std::str::FromStr;

/// An argument that is missing, unknown or not of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// The arguments after the command; each is taken once, and what nobody took is an error.
#[derive(Debug)]
pub struct Arguments {
    pairs: Vec<(String, String)>,
}

impl Arguments {
    /// Pairs up the arguments.
    ///
    /// # Errors
    ///
    /// An argument that is no `--name`, or a name without a value.
    pub fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, UsageError> {
        let mut arguments = arguments.into_iter();
        let mut pairs = Vec::new();
        while let Some(name) = arguments.next() {
            if !name.starts_with("--") {
                return Err(UsageError(format!(
                    "`{name}` is not an option: options are `--name value`"
                )));
            }
            let value = arguments
                .next()
                .ok_or_else(|| UsageError(format!("{name} needs a value")))?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of `name`, if it was given.
    ///
    /// # Errors
    ///
    /// The value is not of type `T`.
    pub fn optional<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, UsageError> {
        let Some(index) = self.pairs.iter().position(|(given, _)| given == name) else {
            return Ok(None);
        };
        let (_, value) = self.pairs.remove(index);
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(UsageError(format!("{name} {value}: {error}"))),
        }
    }

    /// The value of `name`.
    ///
    /// # Errors
    ///
    /// As for [`optional`](Self::optional), and when it was not given.
    pub fn required<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Result<T, UsageError> {
        self.optional(name)?
            .ok_or_else(|| UsageError(format!("{name} is required")))
    }

    /// Checks that every argument was taken.
    ///
    /// # Errors
    ///
    /// Names the first that was not.
    pub fn finish(self) -> Result<(), UsageError> {
        match self.pairs.into_iter().next() {
            Some((name, _)) => Err(UsageError(format!("unknown option {name}"))),
            None => Ok(()),
        }
    }
}
