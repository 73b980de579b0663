use std::collections::HashMap;
use std::time::{Duration, Instant};

use iip_rpc::Outcome;

use super::ledger::{Call, Failure, is_idempotent, never_ran};
use super::report::Report;

/// A time in which one server was not to be reached.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// As a status tells it.
    endpoint: String,
    began: Instant,
    /// From when on no call was sent there.
    seen: Instant,
}

impl Event {
    /// Something happened at `address` from `began` until it was `seen`.
    pub(super) fn new(address: &str, began: Instant, seen: Instant) -> Self {
        Self {
            endpoint: format!("iip://{address}"),
            began,
            seen,
        }
    }

    /// Whether a call in flight there fails by it.
    fn explains(&self, call: &Call, endpoint: &str) -> bool {
        endpoint == self.endpoint && call.began <= self.seen && call.began + call.took >= self.began
    }
}

/// Adds to the report what must hold whatever happens: calls that may be made again do not fail; the others run once at
/// most, and those that fail may have run, and were in flight where and when something happened. `events` is `None`
/// where something happens everywhere, all the time. Returns how many calls that may not be made again failed.
pub(super) fn judge(
    report: &mut Report,
    calls: &[Call],
    executed: &HashMap<u64, u32>,
    events: Option<&[Event]>,
) -> u64 {
    let (mut idempotent, mut others, mut mismatched, mut again, mut sure, mut stray) =
        (0, 0, 0, 0, 0, 0);
    let (mut twice, mut lost, mut untrue) = (0, 0, 0);
    for call in calls {
        let ran = executed.get(&call.number).copied().unwrap_or_default();
        let repeatable = is_idempotent(call.number);
        twice += u64::from(!repeatable && ran > 1);
        let note = match call.failure.as_deref() {
            None => {
                lost += u64::from(ran == 0);
                continue;
            }
            Some(Failure::Mismatched) => {
                mismatched += 1;
                format!("call {}: the answer of another call", call.number)
            }
            Some(Failure::Status {
                outcome,
                endpoint,
                again: repeated,
                text,
                ..
            }) => {
                untrue += u64::from(never_ran(*outcome) && ran > 0);
                if repeatable {
                    idempotent += 1;
                } else {
                    others += 1;
                    again += u64::from(*repeated);
                    let is_unknown = *outcome == Some(Outcome::Unknown);
                    sure += u64::from(!is_unknown);
                    let explained = |events: &[Event]| {
                        events.iter().any(|event| event.explains(call, endpoint))
                    };
                    let explained = events.is_none_or(explained);
                    stray += u64::from(!explained);
                    if is_unknown && explained && !repeated {
                        continue;
                    }
                }
                format!("call {}, after {:?}: {text}", call.number, call.took)
            }
        };
        report.note(note);
    }
    report.tell("calls", calls.len());
    report.at_most("idempotent calls that failed", 0, idempotent);
    report.tell("other calls that failed", others);
    report.at_most("  with another outcome than unknown", 0, sure);
    report.at_most("  made again though they may have run", 0, again);
    if events.is_some() {
        report.at_most("  that were not in flight at the server", 0, stray);
    }
    report.at_most("calls that ran twice and must not", 0, twice);
    report.at_most("answers of another call", 0, mismatched);
    report.at_most("calls answered that did not run", 0, lost);
    report.at_most("calls said not to have run that did", 0, untrue);
    others
}

/// Adds to the report how long idempotent calls took that were answered.
pub(super) fn tell_latency(report: &mut Report, calls: &[Call]) {
    let answered = calls
        .iter()
        .filter(|call| is_idempotent(call.number) && call.failure.is_none());
    let mut times: Vec<Duration> = answered.map(|call| call.took).collect();
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        return;
    };
    let at = |share: f64| times[(last as f64 * share) as usize].as_secs_f64() * 1000.0;
    report.tell(
        "idempotent calls took: median, p99, longest",
        format!("{:.1} {:.1} {:.1} ms", at(0.5), at(0.99), at(1.0)),
    );
}
