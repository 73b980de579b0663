use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iip_rpc::{Code, Outcome, Status};
use tokio::sync::watch;

/// What callers were told.
#[derive(Debug)]
pub(super) struct Ledger {
    state: Mutex<State>,
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    calls: Vec<Call>,
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct Call {
    /// From 1 on.
    pub(super) number: u64,
    pub(super) began: Instant,
    pub(super) took: Duration,
    /// `None`: it was answered.
    pub(super) failure: Option<Box<Failure>>,
}

/// How a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It got another call's answer.
    Mismatched,
    Status {
        code: Code,
        outcome: Option<Outcome>,
        endpoint: String,
        /// It was made again though an attempt may have run.
        again: bool,
        text: String,
    },
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let mut earlier = status.earlier_attempts().iter();
        Self::Status {
            code: status.code(),
            outcome: status.outcome(),
            endpoint: status.endpoint().unwrap_or_default().to_owned(),
            again: earlier.any(|attempt| !never_ran(attempt.outcome())),
            text: format!("{status:?}"),
        }
    }
}

/// Whether no server has run a call that ended so.
pub(super) fn never_ran(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::NotSent | Outcome::NotProcessed))
}

/// Whether the call of this number may run twice: 7 of 10.
pub(super) fn is_idempotent(number: u64) -> bool {
    number % 10 < 7
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        }
    }
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new call.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.state();
        state.begun += 1;
        state.begun
    }

    pub(super) fn end(&self, number: u64, began: Instant, failure: Option<Failure>) {
        self.state().calls.push(Call {
            number,
            began,
            took: began.elapsed(),
            failure: failure.map(Box::new),
        });
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Calls so far.
    pub(super) fn begun(&self) -> u64 {
        self.state().begun
    }

    /// How many calls have ended, now and later.
    pub(super) fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Whether of the last calls that have ended this many were answered.
    pub(super) fn goes_well(&self, last: usize) -> bool {
        let state = self.state();
        let calls = state.calls.iter().rev().take(last);
        state.calls.len() >= last && calls.into_iter().all(|call| call.failure.is_none())
    }

    /// All calls that have ended.
    pub(super) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }
}
