use bytes::Bytes;
use iip_core::session::CallId;

use super::content::unwrap;

/// A call as its caller sees it.
pub(super) struct Call {
    pub(super) call: CallId,
    pub(super) id: u64,
    pub(super) route: usize,
    /// What of the request was not given to the session yet.
    pub(super) rest: Bytes,
    pub(super) open: bool,
    pub(super) enveloped: bool,
    pub(super) received: Vec<u8>,
    /// What was received and not consumed, as credit.
    pub(super) unconsumed: usize,
}

/// A call as its handler sees it.
pub(super) struct Owed {
    pub(super) call: CallId,
    pub(super) id: u64,
    pub(super) received: Vec<u8>,
    pub(super) complete: bool,
    /// What of the answer was not given to the session yet, once it has begun.
    pub(super) rest: Option<Bytes>,
    pub(super) enveloped: bool,
    /// What was received and not consumed, as credit.
    pub(super) unconsumed: usize,
}

#[derive(Default, Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Count {
    pub(super) begun: usize,
    pub(super) answered: usize,
    pub(super) given_up: usize,
    pub(super) expired: usize,
    pub(super) lost: usize,
    /// Cancellations the server heard of.
    pub(super) cancelled: usize,
}

impl Owed {
    pub(super) fn take(&mut self, data: &[u8]) {
        if self.enveloped {
            self.unconsumed += unwrap(data, &mut self.received);
        } else {
            self.received.extend_from_slice(data);
        }
    }
}
