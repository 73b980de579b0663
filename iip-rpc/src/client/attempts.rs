use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use iip_core::balance::EndpointId;
use tokio::time::{Sleep, sleep_until};

use super::breaker::{Breaker, Permit};
use super::budget::{Budget, Denied};
use super::classify::{Cost, Decision, Failure, Situation, classify, may_have_run, repeatable};
use super::hedge::Hedge;
use super::retry::Retry;
use crate::deadline::now;
use crate::status::{Attempts, Pushback};
use crate::{Idempotency, Outcome, Status};

/// Failures of earlier attempts that a status keeps.
const MOST_EARLIER: usize = 8;

/// How an attempt ended without an answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status: Status,
    pub(super) failure: Failure,
    /// An endpoint was not tried yet.
    pub(super) others: bool,
    /// At which of many it was.
    pub(super) endpoint: Option<EndpointId>,
}

/// An attempt in progress.
pub(super) type Attempting<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send + 'a>>;

/// A call that can be attempted more than once.
pub(super) trait Attempt: Sync {
    type Answer;

    /// Makes an attempt after `previous` others, which may take this long. Dropping it gives it up.
    fn attempt(&self, previous: u32, timeout: Option<Duration>) -> Attempting<'_, Self::Answer>;
}

/// What holds for the attempts of one call.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Retry,
    pub(super) budget: &'a Budget,
    pub(super) breaker: Option<&'a Breaker>,
    pub(super) hedge: Option<&'a Hedge>,
    pub(super) idempotency: Idempotency,
    pub(super) deadline: Option<Instant>,
}

impl Rules<'_> {
    /// Most attempts that count.
    fn most(&self) -> u32 {
        self.hedge
            .map_or(self.policy.attempts, |hedge| hedge.attempts)
    }

    /// How long attempt `number` of those that count may take, if not as long as the call.
    fn timeout(&self, number: u32) -> Option<Duration> {
        let repeated = self.idempotency != Idempotency::Unknown && self.hedge.is_none();
        self.policy
            .attempt_timeout
            .filter(|_| repeated && number < self.most())
    }

    fn left(&self, now: Instant) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(now);
        self.deadline.map_or(Duration::MAX, left)
    }
}

/// Makes the attempts of a call until one has an answer or no further one is allowed: after the `first` one, which has
/// failed, or from the beginning.
///
/// Dropping the future gives up the attempts that are in progress.
pub(super) async fn attempts<A: Attempt>(
    call: &A,
    rules: Rules<'_>,
    first: Option<Failed>,
) -> Result<A::Answer, Status> {
    let mut all = All {
        call,
        rules,
        running: Vec::new(),
        next: None,
        past: Past::default(),
    };
    match first {
        None => all.begin(None),
        Some(failed) => {
            all.past.made = 1;
            all.past.counted = 1;
            all.failed(failed, 0)?;
        }
    }
    loop {
        match poll_fn(|context| all.poll(context)).await {
            Event::Due => all.due(),
            Event::Ended(Ok(answer), _) => {
                rules.budget.succeeded();
                return Ok(answer);
            }
            Event::Ended(Err(failed), previous) => all.failed(failed, previous)?,
        }
    }
}

struct All<'a, A: Attempt> {
    call: &'a A,
    rules: Rules<'a>,
    /// One, unless the call is hedged.
    running: Vec<Running<'a, A::Answer>>,
    next: Option<Next>,
    past: Past,
}

struct Running<'a, T> {
    attempt: Attempting<'a, T>,
    previous: u32,
    /// Its place among the attempts that are not the first of their calls.
    _permit: Option<Permit>,
}

/// The next attempt.
struct Next {
    /// `None`: at once.
    at: Option<Pin<Box<Sleep>>>,
    /// It was allowed already, by the failure before it.
    allowed: Option<Option<Permit>>,
}

/// What was.
#[derive(Default)]
struct Past {
    made: u32,
    /// Attempts that count, those in progress included.
    counted: u32,
    unsent: u32,
    excused: bool,
    /// Why there is no further attempt, though there might be one.
    stopped: Option<&'static str>,
    may_have_run: bool,
    earlier: Vec<Status>,
}

enum Event<T> {
    /// The next attempt is due.
    Due,
    /// The attempt after so many others has ended.
    Ended(Result<T, Failed>, u32),
}

impl<A: Attempt> All<'_, A> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event<A::Answer>> {
        let mut ended = None;
        for (index, running) in self.running.iter_mut().enumerate() {
            if let Poll::Ready(result) = running.attempt.as_mut().poll(context) {
                ended = Some((index, result));
                break;
            }
        }
        if let Some((index, result)) = ended {
            let previous = self.running.swap_remove(index).previous;
            return Poll::Ready(Event::Ended(result, previous));
        }
        match &mut self.next {
            Some(Next { at: None, .. }) => Poll::Ready(Event::Due),
            Some(Next { at: Some(at), .. }) => at.as_mut().poll(context).map(|()| Event::Due),
            None => Poll::Pending,
        }
    }

    /// Begins an attempt. If the call is hedged, another one is due some time after it.
    fn begin(&mut self, permit: Option<Permit>) {
        let previous = self.past.made;
        self.past.made += 1;
        self.past.counted += 1;
        let timeout = self.rules.timeout(self.past.counted);
        self.running.push(Running {
            attempt: self.call.attempt(previous, timeout),
            previous,
            _permit: permit,
        });
        self.next = match self.rules.hedge {
            Some(hedge) if self.past.counted < hedge.attempts => {
                Next::after(now(), hedge.delay, None)
            }
            _ => None,
        };
    }

    /// The time of the next attempt has come.
    fn due(&mut self) {
        let Some(next) = self.next.take() else {
            return;
        };
        let permit = match next.allowed {
            Some(permit) => Ok(permit),
            None => self.allow(Cost::One, now()),
        };
        match permit {
            Ok(permit) => self.begin(permit),
            // The attempts in progress decide.
            Err(stopped) => self.past.stopped = Some(stopped),
        }
    }

    /// An attempt has failed: is there another one, or one still in progress?
    fn failed(&mut self, failed: Failed, previous: u32) -> Result<(), Status> {
        let Failed {
            status, failure, ..
        } = failed;
        let now = now();
        if failure.is_trouble() {
            if previous > 0 {
                self.rules.budget.failed_again();
            }
        } else if let Failure::Answered(_) = failure {
            self.rules.budget.succeeded();
        }
        let pushback = status.pushback();
        let hedged = self.rules.hedge.is_some();
        let decision = classify(
            failure,
            Situation {
                policy: self.rules.policy,
                idempotency: self.rules.idempotency,
                pushback,
                others: failed.others,
                attempts: self.past.counted,
                most: self.rules.most(),
                hedged,
                unsent: self.past.unsent,
                excused: self.past.excused,
                random: fastrand::f64(),
            },
        );
        let planned = match decision {
            Decision::Fail => Err(None),
            Decision::Now(cost) => self.plan(Duration::ZERO, cost, failure, now),
            Decision::After(delay, cost) => self.plan(delay, cost, failure, now),
        };
        match planned {
            Ok(next) => {
                tracing::debug!(attempt = previous + 1, %status, "a call is attempted again");
                self.past.add(status, failure);
                self.next = Some(next);
                Ok(())
            }
            Err(stopped) => {
                // Other attempts of a hedged call may still succeed, unless this one's answer is the call's.
                let goes_on =
                    repeatable(failure, self.rules.idempotency) || failure == Failure::Unreachable;
                if goes_on && !self.running.is_empty() {
                    if pushback == Some(Pushback::Never) {
                        self.next = None;
                    }
                    self.past.add(status, failure);
                    return Ok(());
                }
                let stopped = stopped.or(self.past.stopped.filter(|_| goes_on));
                Err(self.fail(status, stopped))
            }
        }
    }

    /// The next attempt, or what else forbids it.
    fn plan(
        &self,
        delay: Duration,
        cost: Cost,
        failure: Failure,
        now: Instant,
    ) -> Result<Next, Option<&'static str>> {
        let left = self.rules.left(now);
        let least = match self.rules.policy.attempt_timeout {
            Some(timeout) if failure == Failure::TimedOut => timeout / 2,
            _ => Duration::ZERO,
        };
        if left.saturating_sub(delay) <= least {
            return Err(Some("too little is left of the call's time"));
        }
        let permit = self.allow(cost, now).map_err(Some)?;
        Next::after(now, delay, Some(permit)).ok_or(None)
    }

    /// A place for an attempt that is not the first one.
    fn allow(&self, cost: Cost, now: Instant) -> Result<Option<Permit>, &'static str> {
        let permit = match self.rules.breaker {
            None => None,
            Some(breaker) => Some(breaker.retry().ok_or(
                "too many calls are being made again (setting: circuit_breaker, max_retries)",
            )?),
        };
        if cost == Cost::One {
            self.rules.budget.take(now).map_err(|denied| match denied {
                Denied::Budget => "the budget is used up (setting: retry, budget)",
                Denied::Tokens => "too many repetitions failed (setting: retry, tokens)",
            })?;
        }
        Ok(permit)
    }

    /// The call's status: that of its last attempt, with what is known of the others.
    fn fail(&mut self, status: Status, stopped: Option<&'static str>) -> Status {
        let past = std::mem::take(&mut self.past);
        let unrun = status.outcome().is_some() && !may_have_run(&status);
        let status = match unrun && (past.may_have_run || !self.running.is_empty()) {
            true => status.with_outcome(Outcome::Unknown),
            false => status,
        };
        if past.made == 1 && stopped.is_none() {
            return status;
        }
        let bounded = self.rules.idempotency != Idempotency::Unknown;
        let most = self.rules.most();
        status.with_attempts(Attempts {
            made: past.made,
            most: (bounded && past.made <= most).then_some(most),
            stopped,
            earlier: past.earlier,
        })
    }
}

impl Next {
    /// `None`: that is beyond what the clock can say.
    fn after(now: Instant, delay: Duration, allowed: Option<Option<Permit>>) -> Option<Self> {
        let at = now.checked_add(delay)?;
        // The least time that a timer takes is a millisecond.
        let at = (!delay.is_zero()).then(|| Box::pin(sleep_until(at.into())));
        Some(Self { at, allowed })
    }
}

impl Past {
    /// Keeps the failure of an attempt that is not the last one.
    fn add(&mut self, status: Status, failure: Failure) {
        match failure {
            Failure::NotSent | Failure::Unreachable => {
                self.unsent += 1;
                self.counted = self.counted.saturating_sub(1);
            }
            Failure::Stopping | Failure::NotProcessed if !self.excused => {
                self.excused = true;
                self.counted = self.counted.saturating_sub(1);
            }
            _ => {}
        }
        self.may_have_run |= may_have_run(&status);
        if self.earlier.len() == MOST_EARLIER {
            self.earlier.remove(1);
        }
        self.earlier.push(status);
    }
}
