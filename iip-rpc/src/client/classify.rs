use std::error::Error as _;
use std::time::Duration;

use iip_core::balance::Verdict;
use iip_core::{Error, ErrorKind};

use super::retry::Retry;
use crate::status::Pushback;
use crate::{Code, Idempotency, Outcome, Status};

/// The code of `docs/protocol.md`, section 10.5, of a server that stops.
const STOPPING: i64 = 110;

/// How an attempt failed, as far as it decides what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another attempt would end in the same way, or there is no time for one.
    Final,
    /// There is no connection to any endpoint and none can be made now, or too many calls wait for one.
    Unreachable,
    /// The request was not sent, or not to its end.
    NotSent,
    /// A server that stops refused it.
    Stopping,
    /// A server says that it did not run it, and another one or a later attempt may do better.
    NotProcessed,
    /// The connection was lost while the answer was waited for.
    Lost,
    /// The time of the attempt passed, not that of the call.
    TimedOut,
    /// The method answered with this code.
    Answered(Code),
}

/// What else is known of an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// There was a connection for it.
    pub(super) placed: bool,
    /// The call's own deadline has passed.
    pub(super) expired: bool,
    /// The attempt had less time than the call, and that time has passed.
    pub(super) attempt_expired: bool,
}

impl Failure {
    /// What `status` of an attempt means.
    pub(super) fn of(status: &Status, known: Circumstances) -> Self {
        let error = status.source().and_then(|error| error.downcast_ref());
        Self::with(
            status.outcome(),
            error.map(Error::kind),
            status.code(),
            known,
        )
    }

    /// [`of`](Self::of) a status with this outcome, of an error of this kind, with this code.
    pub(super) fn with(
        outcome: Option<Outcome>,
        kind: Option<&ErrorKind>,
        code: Code,
        known: Circumstances,
    ) -> Self {
        if known.expired {
            return Self::Final;
        }
        match (outcome, kind) {
            (Some(Outcome::NotSent), Some(ErrorKind::Deadline)) => Self::NotSent,
            (Some(Outcome::NotSent), Some(ErrorKind::Closed)) if known.placed => Self::NotSent,
            (Some(Outcome::NotSent), Some(ErrorKind::Connect | ErrorKind::QueueFull)) => {
                Self::Unreachable
            }
            // This side refused it: the message is too large, a limit is reached, the channel was closed.
            (Some(Outcome::NotSent), _) => Self::Final,
            (Some(Outcome::NotProcessed), Some(ErrorKind::Refused { code: STOPPING })) => {
                Self::Stopping
            }
            (Some(Outcome::NotProcessed), _) => match code {
                Code::Unavailable | Code::ResourceExhausted | Code::Aborted => Self::NotProcessed,
                Code::DeadlineExceeded if known.attempt_expired => Self::NotSent,
                // It says what is wrong with the call.
                _ => Self::Final,
            },
            (_, Some(ErrorKind::Closed)) => Self::Lost,
            (_, Some(ErrorKind::Deadline)) => Self::TimedOut,
            (_, Some(_)) => Self::Final,
            (_, None) if code == Code::DeadlineExceeded && known.attempt_expired => Self::TimedOut,
            (None, None) => Self::Answered(code),
            // The response cannot be read.
            (Some(_), None) => Self::Final,
        }
    }

    /// What it says about the endpoint at which it happened.
    pub(super) fn verdict(self, outcome: Option<Outcome>, known: Circumstances) -> Verdict {
        match self {
            // Ejecting those that have too much to do would leave even more to the others.
            Self::NotProcessed => Verdict::Neutral,
            _ if self.is_trouble() => Verdict::Failure,
            // What a server says that is broken. Any other code is about the call.
            Self::Answered(Code::Internal | Code::Unknown | Code::DataLoss) => Verdict::Failure,
            Self::Answered(_) => Verdict::Success,
            // All of the call's time has passed there.
            _ if known.expired && outcome == Some(Outcome::Unknown) => Verdict::Failure,
            _ => Verdict::Neutral,
        }
    }

    /// Whether it is an answer of the method that says the same each time.
    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Answered(code) if !matches!(code, Code::Unavailable | Code::Aborted))
    }

    /// Whether it is the server or the way to it that failed, and not the call.
    pub(super) fn is_trouble(self) -> bool {
        match self {
            Self::NotProcessed | Self::Lost | Self::TimedOut => true,
            Self::Answered(code) => code == Code::Unavailable,
            Self::Final | Self::Unreachable | Self::NotSent | Self::Stopping => false,
        }
    }
}

/// Whether an attempt that ended so can have run.
pub(super) fn may_have_run(status: &Status) -> bool {
    !matches!(
        status.outcome(),
        Some(Outcome::NotSent | Outcome::NotProcessed)
    )
}

/// What a failed attempt is judged by, beside its failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation<'a> {
    pub(super) policy: &'a Retry,
    pub(super) idempotency: Idempotency,
    pub(super) pushback: Option<Pushback>,
    /// An endpoint was not tried yet.
    pub(super) others: bool,
    /// Attempts so far that count, this one included, and the most there may be.
    pub(super) attempts: u32,
    pub(super) most: u32,
    /// Failures are followed by the next attempt without a wait.
    pub(super) hedged: bool,
    /// Attempts so far that were never sent, this one not included.
    pub(super) unsent: u32,
    /// A refusal was followed by an attempt at once before.
    pub(super) excused: bool,
    /// A number from 0 to 1, for the wait.
    pub(super) random: f64,
}

/// What comes after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decision {
    /// The call fails.
    Fail,
    /// Another attempt, at once.
    Now(Cost),
    /// Another attempt, after this wait.
    After(Duration, Cost),
}

/// What another attempt costs of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// Nothing: the last one cost no server anything.
    Free,
    /// One attempt of those that the budget allows.
    One,
}

/// Whether and when a call is made again.
pub(super) fn classify(failure: Failure, at: Situation<'_>) -> Decision {
    match failure {
        // Of those that cannot be reached every one was looked at.
        Failure::Final | Failure::Unreachable => Decision::Fail,
        Failure::NotSent if at.others || at.unsent == 0 => Decision::Now(Cost::Free),
        Failure::NotSent => Decision::After(at.policy.delay(at.unsent - 1, at.random), Cost::Free),
        Failure::Stopping | Failure::NotProcessed if !at.excused => {
            let cost = match failure {
                Failure::Stopping => Cost::Free,
                _ => Cost::One,
            };
            match at.pushback {
                None => Decision::Now(cost),
                Some(Pushback::After(delay)) => Decision::After(delay, cost),
                Some(Pushback::Never) => Decision::Fail,
            }
        }
        _ if repeatable(failure, at.idempotency) && at.attempts < at.most => match at.pushback {
            None if at.hedged => Decision::Now(Cost::One),
            None => {
                let repetitions = at.attempts.saturating_sub(1);
                Decision::After(at.policy.delay(repetitions, at.random), Cost::One)
            }
            Some(Pushback::After(delay)) => Decision::After(delay, Cost::One),
            Some(Pushback::Never) => Decision::Fail,
        },
        _ => Decision::Fail,
    }
}

/// Whether a policy may make a call again that failed so, for it cannot do harm and may do good.
pub(super) fn repeatable(failure: Failure, idempotency: Idempotency) -> bool {
    let marked = idempotency != Idempotency::Unknown;
    match failure {
        Failure::Final | Failure::Unreachable => false,
        Failure::NotSent => true,
        Failure::Stopping | Failure::NotProcessed => marked,
        Failure::Lost | Failure::TimedOut | Failure::Answered(Code::Unavailable) => marked,
        Failure::Answered(Code::Aborted) => idempotency == Idempotency::NoSideEffects,
        Failure::Answered(_) => false,
    }
}
