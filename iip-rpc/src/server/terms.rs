use std::time::Duration;

use iip_core::server::{Incoming, Terms};

use crate::deadline::on_arrival;
use crate::envelope::Peek;

/// What is to be known of a request before its turn; `default`: the deadline of one that brings none.
pub(super) fn of(request: &Incoming, default: Option<Duration>) -> Terms {
    if !request.is_enveloped() {
        return Terms::default();
    }
    let peek = Peek::new(request.data());
    let deadline = on_arrival(request.arrived(), peek.timeout_us, default);
    Terms::new(deadline, peek.criticality)
}
