use std::time::Duration;

use iip_core::server::Terms;

use crate::deadline::timeout;
use crate::envelope::Peek;

/// What is to be known of a request before its turn; `default`: the timeout of one that brings none.
pub(super) fn of(records: &[u8], default: Option<Duration>) -> Terms {
    let peek = Peek::new(records);
    Terms::new(timeout(peek.timeout_us, default), peek.criticality)
}
