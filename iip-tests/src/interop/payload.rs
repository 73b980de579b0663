//! Payloads of any size with known bytes.

use std::sync::LazyLock;

use iip_rpc::bytes::Bytes;

use super::MAX_MESSAGE;
use super::proto::Payload;
use super::verdict::{Failure, check, same};

/// The largest payload.
static LARGEST: LazyLock<Bytes> = LazyLock::new(|| {
    // The bytes repeat after a prime number of them, so that pieces cut at round sizes do not look alike.
    let mut bytes = (0..251).collect::<Vec<u8>>();
    while bytes.len() < MAX_MESSAGE {
        bytes.extend_from_within(..);
    }
    bytes.into()
});

impl Payload {
    /// A payload of `size` bytes, or of as many as there may be.
    pub fn of(size: usize) -> Self {
        let body = LARGEST.slice(..size.min(LARGEST.len()));
        Self { body }
    }

    /// Whether every byte is what its place says.
    pub fn is_intact(&self) -> bool {
        LARGEST.starts_with(&self.body)
    }
}

/// The payload of a message that has one.
pub(super) fn body(payload: Option<&Payload>) -> Bytes {
    payload
        .map(|payload| payload.body.clone())
        .unwrap_or_default()
}

/// Fails unless a message has a payload of `size` bytes, all of them right.
pub(super) fn intact(what: &str, payload: Option<&Payload>, size: usize) -> Result<(), Failure> {
    let payload = payload.ok_or_else(|| Failure::new(format!("{what} has no payload")))?;
    same(what, payload.body.len(), size)?;
    check(payload.is_intact(), || format!("{what} has other bytes"))
}
