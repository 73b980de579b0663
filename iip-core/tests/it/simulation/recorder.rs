//! What was seen, and which promise it breaks.

use std::fmt;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) what: Promise,
    pub(super) how: String,
}

/// What every history has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Promise {
    /// An answer belongs to its request, and a request to its call.
    Pairing,
    /// A call is executed at most once.
    AtMostOnce,
    /// Every accepted call has exactly one outcome.
    OneOutcome,
    /// What is said not to have run never ran.
    TrueOutcome,
    /// What is sent in order on a channel arrives in order.
    Order,
    /// Nobody holds more than the budget.
    Budget,
    /// No call outlives its deadline by more than 50 ms.
    Deadline,
    /// Where both sides are willing, something moves.
    Progress,
    /// Two correct peers find nothing wrong with each other.
    Peace,
    /// A server that stops in an orderly way loses no call: each is answered, or its caller knows that it did not run.
    Drain,
    /// In the end everything was given back.
    Return,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.what, self.how)
    }
}

/// How a call ended for its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// Its handler answered, be it with an error.
    Done,
    NotSent,
    NotProcessed,
    Unknown,
}

impl Outcome {
    /// Whether no handler can have seen the call.
    pub(super) fn says_never(self) -> bool {
        matches!(self, Self::NotSent | Self::NotProcessed)
    }
}

/// One try of a call on one connection.
#[derive(Debug)]
struct Attempt {
    call: usize,
    executed: usize,
    outcome: Option<Outcome>,
}

/// How often what was seen: a simulation in which nothing happens proves nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    pub(super) calls: usize,
    pub(super) done: usize,
    pub(super) unknown: usize,
    pub(super) not_sent: usize,
    pub(super) not_processed: usize,
    pub(super) repeated: usize,
    pub(super) cancelled: usize,
    pub(super) expired: usize,
    pub(super) grants: usize,
    pub(super) cuts: usize,
    pub(super) drains: usize,
    /// Calls that were answered because the grace of a drain was over.
    pub(super) cut_short: usize,
    pub(super) stalls: usize,
    pub(super) steps: usize,
    /// Seeds in which the planted bug had an effect.
    pub(super) planted: usize,
}

impl Count {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.done += other.done;
        self.unknown += other.unknown;
        self.not_sent += other.not_sent;
        self.not_processed += other.not_processed;
        self.repeated += other.repeated;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.grants += other.grants;
        self.cuts += other.cuts;
        self.drains += other.drains;
        self.cut_short += other.cut_short;
        self.stalls += other.stalls;
        self.steps += other.steps;
        self.planted += other.planted;
    }
}

#[derive(Debug, Default)]
pub(super) struct Recorder {
    attempts: Vec<Attempt>,
    /// The outcome of each call.
    outcomes: Vec<Option<Outcome>>,
    breach: Option<Breach>,
    pub(super) count: Count,
}

impl Recorder {
    pub(super) fn new(calls: usize) -> Self {
        Self {
            outcomes: vec![None; calls],
            ..Self::default()
        }
    }

    /// Keeps the first breach: what follows from it says little.
    pub(super) fn breach(&mut self, what: Promise, how: impl Into<String>) {
        let how = how.into();
        self.breach.get_or_insert(Breach { what, how });
    }

    pub(super) fn expect(&mut self, kept: bool, what: Promise, how: impl FnOnce() -> String) {
        if !kept {
            self.breach(what, how());
        }
    }

    pub(super) fn broken(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    pub(super) fn begin(&mut self, call: usize) -> usize {
        self.attempts.push(Attempt {
            call,
            executed: 0,
            outcome: None,
        });
        self.attempts.len() - 1
    }

    /// Whose try it is; `None` if nobody made it.
    pub(super) fn call_of(&self, attempt: usize) -> Option<usize> {
        self.attempts.get(attempt).map(|attempt| attempt.call)
    }

    /// A handler has seen the request.
    pub(super) fn execute(&mut self, attempt: usize) {
        let Some(known) = self.attempts.get_mut(attempt) else {
            return self.breach(Promise::Pairing, "a request that nobody made");
        };
        known.executed += 1;
        let call = known.call;
        let of_call = |attempt: &&Attempt| attempt.call == call;
        let times: usize = self
            .attempts
            .iter()
            .filter(of_call)
            .map(|attempt| attempt.executed)
            .sum();
        let twice = || format!("call {call} was executed {times} times");
        self.expect(times == 1, Promise::AtMostOnce, twice);
        self.check_truth(attempt);
    }

    /// What became of one try.
    pub(super) fn end_attempt(&mut self, attempt: usize, outcome: Outcome) {
        let before = self.attempts[attempt].outcome.replace(outcome);
        let twice = || format!("attempt {attempt} was {before:?} and is {outcome:?}");
        self.expect(before.is_none(), Promise::OneOutcome, twice);
        self.check_truth(attempt);
    }

    fn check_truth(&mut self, attempt: usize) {
        let Attempt {
            call,
            executed,
            outcome,
        } = self.attempts[attempt];
        let truth = executed == 0 || !outcome.is_some_and(Outcome::says_never);
        self.expect(truth, Promise::TrueOutcome, || {
            format!("call {call}, attempt {attempt} was executed, and is {outcome:?}")
        });
    }

    /// What its caller is told of a call.
    pub(super) fn end_call(&mut self, call: usize, outcome: Outcome) {
        let before = self.outcomes[call].replace(outcome);
        let twice = || format!("call {call} was {before:?} and is {outcome:?}");
        self.expect(before.is_none(), Promise::OneOutcome, twice);
        match outcome {
            Outcome::Done => self.count.done += 1,
            Outcome::Unknown => self.count.unknown += 1,
            Outcome::NotSent => self.count.not_sent += 1,
            Outcome::NotProcessed => self.count.not_processed += 1,
        }
    }

    /// The world is over.
    pub(super) fn end(&mut self) {
        for call in 0..self.outcomes.len() {
            let told = self.outcomes[call].is_some();
            self.expect(told, Promise::OneOutcome, || {
                format!("call {call} has no outcome")
            });
        }
    }
}
