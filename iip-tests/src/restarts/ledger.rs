use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What callers were told and what servers did.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    executed: HashSet<u64>,
    failures: Vec<String>,
}

/// The sums of a [`Ledger`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Servers that stopped: those that were replaced, and the last one.
    pub stopped: u64,
    /// Calls made, each with a number of its own.
    pub calls: u64,
    /// Calls answered by their handlers.
    pub answered: u64,
    /// Calls that failed, because it was not sure that they had not run, or for good.
    pub failed: u64,
    /// Attempts that were made again, because the call did not run for sure.
    pub again: u64,
    /// Calls that ran.
    pub executed: u64,
    /// Calls that ran more than once.
    pub twice: u64,
    /// Servers that did not stop in an orderly way.
    pub unclean: u64,
}

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new call.
    pub(super) fn make(&self) -> u64 {
        let mut state = self.state();
        state.tally.calls += 1;
        state.tally.calls
    }

    pub(super) fn answer(&self) {
        self.state().tally.answered += 1;
    }

    pub(super) fn repeat(&self) {
        self.state().tally.again += 1;
    }

    pub(super) fn fail(&self, text: String) {
        let mut state = self.state();
        state.tally.failed += 1;
        if state.failures.len() < 10 {
            state.failures.push(text);
        }
    }

    /// A handler has seen the call.
    pub(super) fn execute(&self, call: u64) {
        let mut state = self.state();
        match state.executed.insert(call) {
            true => state.tally.executed += 1,
            false => state.tally.twice += 1,
        }
    }

    /// A server has stopped.
    pub(super) fn stop(&self, clean: bool) {
        let mut state = self.state();
        state.tally.stopped += 1;
        state.tally.unclean += u64::from(!clean);
    }

    /// The sums so far.
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// What calls that failed were told; the first ten.
    pub fn failures(&self) -> Vec<String> {
        self.state().failures.clone()
    }
}

impl Tally {
    /// Whether nothing was lost: every call was answered, ran once, and every server stopped in an orderly way.
    pub fn is_perfect(&self) -> bool {
        self.answered == self.calls
            && self.executed == self.calls
            && (self.failed, self.twice, self.unclean) == (0, 0, 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} servers stopped, {} calls: {} answered, {} failed, {} attempts made again; {} calls ran, {} of them twice; \
             {} servers did not stop in an orderly way",
            self.stopped,
            self.calls,
            self.answered,
            self.failed,
            self.again,
            self.executed,
            self.twice,
            self.unclean
        )
    }
}
