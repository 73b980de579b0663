//! How a case ends.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Debug};

use iip_rpc::{Code, Status};

/// What a case that passed has seen, for people.
pub type Note = Cow<'static, str>;

/// How a case ends.
pub type Verdict = Result<Note, Failure>;

/// Why a case did not pass.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(format!("a call failed that should not: {status}"))
    }
}

/// Fails unless `condition` holds.
pub(super) fn check(condition: bool, reason: impl FnOnce() -> String) -> Result<(), Failure> {
    if condition {
        Ok(())
    } else {
        Err(Failure(reason()))
    }
}

/// Fails unless `found` is what was expected.
pub(super) fn same<F: Debug + PartialEq<E>, E: Debug>(
    what: &str,
    found: F,
    expected: E,
) -> Result<(), Failure> {
    check(found == expected, || {
        format!("{what}: {found:?} instead of {expected:?}")
    })
}

/// Fails unless the call failed, with this code; returns its status.
pub(super) fn failed_with<T>(
    what: &str,
    result: Result<T, Status>,
    code: Code,
) -> Result<Status, Failure> {
    match result {
        Ok(_) => Err(Failure(format!("{what}: succeeded instead of {code}"))),
        Err(status) if status.code() == code => Ok(status),
        Err(status) => Err(Failure(format!("{what}: {status} instead of {code}"))),
    }
}
