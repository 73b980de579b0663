use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::attempts::{Attempt, Attempting, Failed, Rules, attempts};
use super::breaker::{Breaker, CircuitBreaker};
use super::budget::Budget;
use super::classify::{Circumstances, Failure};
use super::hedge::Hedge;
use super::retry::Retry;
use crate::deadline::now;
use crate::{Idempotency, Outcome, Status};

const MILLISECOND: Duration = Duration::from_millis(1);

/// What an attempt does: it takes some time, and ends so.
type Act = (Duration, Result<&'static str, Failed>);

/// A call whose attempts do what was written down for them.
#[derive(Default)]
struct Script {
    acts: Mutex<VecDeque<Act>>,
    /// When each attempt began, what it was told of those before it, and its time.
    begun: Mutex<Vec<(Instant, u32, Option<Duration>)>>,
    /// Attempts in progress.
    running: Arc<AtomicUsize>,
}

struct Here(Arc<AtomicUsize>);

impl Drop for Here {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Attempt for Script {
    type Answer = &'static str;

    fn attempt(&self, previous: u32, timeout: Option<Duration>) -> Attempting<'_, Self::Answer> {
        let begun = (Instant::now(), previous, timeout);
        self.begun.lock().unwrap().push(begun);
        let (time, result) = self.acts.lock().unwrap().pop_front().unwrap();
        self.running.fetch_add(1, Ordering::Relaxed);
        let here = Here(Arc::clone(&self.running));
        Box::pin(async move {
            let _here = here;
            // Not even a timer's millisecond.
            if !time.is_zero() {
                sleep(time).await;
            }
            result
        })
    }
}

impl Script {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self {
            acts: Mutex::new(acts.into_iter().collect()),
            ..Self::default()
        }
    }

    /// How long after the first attempt each began, milliseconds.
    fn begun(&self) -> Vec<u128> {
        let begun = self.begun.lock().unwrap();
        let first = begun.first().map(|first| first.0);
        let since = |at: &Instant| (*at - first.unwrap()).as_millis();
        begun.iter().map(|(at, ..)| since(at)).collect()
    }

    fn timeouts(&self) -> Vec<Option<u128>> {
        let begun = self.begun.lock().unwrap();
        let millis = |timeout: &Option<Duration>| timeout.map(|timeout| timeout.as_millis());
        begun.iter().map(|(.., timeout)| millis(timeout)).collect()
    }
}

/// What holds for the calls of a test.
struct Ground {
    policy: Retry,
    budget: Budget,
    breaker: Option<Breaker>,
    hedge: Option<Hedge>,
}

impl Ground {
    fn new(policy: Retry) -> Self {
        Self {
            budget: Budget::new(&policy, now()),
            policy,
            breaker: None,
            hedge: None,
        }
    }

    fn hedged(hedge: Hedge) -> Self {
        Self {
            hedge: Some(hedge),
            ..Self::new(Retry::safe())
        }
    }

    /// Makes the call, which has ten seconds.
    async fn call(
        &self,
        script: &Script,
        idempotency: Idempotency,
    ) -> Result<&'static str, Status> {
        let rules = Rules {
            policy: &self.policy,
            budget: &self.budget,
            breaker: self.breaker.as_ref(),
            hedge: self.hedge.as_ref(),
            idempotency,
            deadline: Some(now() + Duration::from_secs(10)),
        };
        attempts(script, rules, None).await
    }
}

fn failed(status: Status) -> Act {
    let known = Circumstances {
        placed: true,
        expired: false,
        attempt_expired: false,
    };
    with(Failure::of(&status, known), status)
}

fn with(failure: Failure, status: Status) -> Act {
    let failed = Failed {
        status,
        failure,
        others: false,
        endpoint: None,
    };
    (MILLISECOND, Err(failed))
}

fn unavailable() -> Act {
    failed(Status::unavailable("down"))
}

fn refused() -> Act {
    failed(Status::unavailable("busy").with_outcome(Outcome::NotProcessed))
}

fn not_sent() -> Act {
    let status = Status::unavailable("lost").with_outcome(Outcome::NotSent);
    with(Failure::NotSent, status)
}

fn lost() -> Act {
    let status = Status::unavailable("lost").with_outcome(Outcome::Unknown);
    with(Failure::Lost, status)
}

fn answer(milliseconds: u32) -> Act {
    (milliseconds * MILLISECOND, Ok("answer"))
}

const UNMARKED: Idempotency = Idempotency::Unknown;
const SAFE: Idempotency = Idempotency::NoSideEffects;

#[tokio::test(start_paused = true)]
async fn the_policy_makes_three_attempts() {
    let ground = Ground::new(Retry::safe());
    let script = Script::new([unavailable(), lost(), answer(1)]);
    assert_eq!(ground.call(&script, SAFE).await.unwrap(), "answer");
    let begun = script.begun();
    // Each wait is below its ceiling; the attempts take a millisecond each, and so does the timer's rounding.
    assert!(begun[1] <= 52 && begun[2] - begun[1] <= 102, "{begun:?}");

    let script = Script::new([unavailable(), lost(), unavailable()]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.attempts(), 3);
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: down (attempt: 3 of 3); before: UNAVAILABLE: down; \
         before: UNAVAILABLE: lost (outcome: unknown)"
    );
    let numbers: Vec<_> = script
        .begun
        .lock()
        .unwrap()
        .iter()
        .map(|begun| begun.1)
        .collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_is_not_made_again() {
    let ground = Ground::new(Retry::safe());
    for act in [unavailable(), lost()] {
        let script = Script::new([act]);
        let status = ground.call(&script, UNMARKED).await.unwrap_err();
        assert_eq!(status.attempts(), 1);
        // Nothing is said of attempts where there is nothing to say.
        assert!(!status.to_string().contains("attempt"), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_made_again_until_the_deadline_and_not_too_fast() {
    let ground = Ground::new(Retry::off());
    let script = Script::new((0..1000).map(|_| not_sent()));
    let start = Instant::now();
    let status = ground.call(&script, UNMARKED).await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(10));
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    // The ceiling is a second after some attempts: the mean wait is half of it.
    let made = status.attempts();
    assert!((15..80).contains(&made), "{made}");
    assert_eq!(script.begun()[1], 1);
    assert_eq!(status.earlier_attempts().len(), 8);
    assert!(
        status
            .to_string()
            .contains("no more: too little is left of the call's time")
    );

    let script = Script::new((0..20).map(|_| not_sent()).chain([answer(1)]));
    assert_eq!(ground.call(&script, UNMARKED).await.unwrap(), "answer");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_followed_by_one_attempt_at_once() {
    let ground = Ground::new(Retry::safe());
    let script = Script::new([refused(), answer(1)]);
    assert_eq!(ground.call(&script, UNMARKED).await.unwrap(), "answer");
    assert_eq!(script.begun(), [0, 1]);

    let script = Script::new([refused(), refused()]);
    let status = ground.call(&script, UNMARKED).await.unwrap_err();
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
    assert_eq!(status.attempts(), 2);

    // That attempt does not count for the policy.
    let script = Script::new([refused(), refused(), refused(), refused()]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_covers_all_attempts() {
    let ground = Ground::new(Retry::safe());
    let script = Script::new([
        lost(),
        with(
            Failure::Final,
            Status::internal("").with_outcome(Outcome::NotSent),
        ),
    ]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.outcome(), Some(Outcome::Unknown));

    let final_answer = || failed(Status::not_found("nobody"));
    let script = Script::new([lost(), final_answer()]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.outcome(), None);
    let script = Script::new([not_sent(), final_answer()]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.outcome(), None);
    let script = Script::new([not_sent(), refused(), refused()]);
    let status = ground.call(&script, UNMARKED).await.unwrap_err();
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
}

#[tokio::test(start_paused = true)]
async fn the_server_says_when() {
    let ground = Ground::new(Retry::safe());
    let asked = |status: Status| status.with_retry_after(300 * MILLISECOND);
    let script = Script::new([failed(asked(Status::unavailable("down"))), answer(1)]);
    assert_eq!(ground.call(&script, SAFE).await.unwrap(), "answer");
    assert_eq!(script.begun(), [0, 301]);

    let busy = Status::unavailable("busy").with_outcome(Outcome::NotProcessed);
    let script = Script::new([failed(asked(busy.clone())), answer(1)]);
    assert_eq!(ground.call(&script, UNMARKED).await.unwrap(), "answer");
    assert_eq!(script.begun(), [0, 301]);

    // No attempt, an endless wait, and nonsense, which is none.
    for status in [
        busy.clone().with_no_retry(),
        busy.clone().with_retry_after(Duration::MAX),
        busy.with_metadata("iip-retry-pushback-ms", "soon"),
    ] {
        let script = Script::new([failed(status)]);
        assert!(ground.call(&script, SAFE).await.is_err());
    }
    // It is no reason of its own.
    let script = Script::new([failed(asked(Status::not_found("nobody")))]);
    assert!(ground.call(&script, SAFE).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_what_is_made_again() {
    let ground = Ground::new(Retry::safe().tokens(1000, 0.0));
    let mut attempts = 0;
    for _ in 0..2000 {
        ground.budget.called(now());
        let script = Script::new((0..3).map(|_| unavailable()));
        let status = ground.call(&script, SAFE).await.unwrap_err();
        attempts += status.attempts();
        let text = status.to_string();
        let reason = text.contains("the budget is used up (setting: retry, budget)");
        assert_eq!(reason, status.attempts() < 3, "{text}");
    }
    // Three a second and a tenth: the calls take a millisecond and more each.
    let seconds = 2000 / 1000 + 10;
    assert!(attempts <= 2000 + 200 + 3 * seconds + 30, "{attempts}");
}

/// Calls that all fail: the tokens stop what does not help long before the budget would.
#[tokio::test(start_paused = true)]
async fn tokens_stop_what_does_not_help() {
    let ground = Ground::new(Retry::safe());
    let mut attempts = 0;
    for _ in 0..1000 {
        ground.budget.called(now());
        let script = Script::new((0..3).map(|_| unavailable()));
        let status = ground.call(&script, SAFE).await.unwrap_err();
        attempts += status.attempts();
    }
    assert_eq!(attempts, 1005);
    // Attempts that help cost nothing of it.
    let ground = Ground::new(Retry::safe());
    for _ in 0..30 {
        let script = Script::new([unavailable(), answer(1)]);
        assert!(ground.call(&script, SAFE).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn retries_in_progress_are_limited() {
    let mut ground = Ground::new(Retry::safe());
    ground.breaker = Some(Breaker::new(&CircuitBreaker::new().max_retries(1)));
    let ground = Arc::new(ground);
    let call = |acts: [Act; 2]| {
        let ground = Arc::clone(&ground);
        tokio::spawn(async move {
            let script = Script::new(acts);
            ground.call(&script, SAFE).await
        })
    };
    let first = call([unavailable(), answer(1000)]);
    sleep(100 * MILLISECOND).await;
    let status = call([unavailable(), answer(1)]).await.unwrap().unwrap_err();
    assert!(status.to_string().contains("max_retries"), "{status}");
    assert!(first.await.unwrap().is_ok());
    assert!(call([unavailable(), answer(1)]).await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn attempts_have_less_time_than_the_call_but_for_the_last_one() {
    let late = || {
        let status = Status::deadline_exceeded("late").with_outcome(Outcome::Unknown);
        with(Failure::TimedOut, status)
    };
    let timeout = Retry::safe().attempt_timeout(100 * MILLISECOND);
    let ground = Ground::new(timeout.clone());
    let script = Script::new([late(), late(), answer(1)]);
    assert!(ground.call(&script, SAFE).await.is_ok());
    assert_eq!(script.timeouts(), [Some(100), Some(100), None]);
    let script = Script::new([answer(1)]);
    assert!(ground.call(&script, UNMARKED).await.is_ok());
    assert_eq!(script.timeouts(), [None]);

    // Half of an attempt's time must be left of the call's.
    let ground = Ground::new(timeout.attempt_timeout(Duration::from_secs(21)));
    let script = Script::new([late()]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert!(
        status.to_string().contains("too little is left"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedge_answers_for_an_attempt_that_hangs() {
    let ground = Ground::hedged(Hedge::after(20 * MILLISECOND).attempts(3));
    let script = Script::new([answer(5000), answer(4000), answer(7)]);
    let start = Instant::now();
    assert_eq!(ground.call(&script, SAFE).await.unwrap(), "answer");
    assert_eq!(start.elapsed(), 47 * MILLISECOND);
    assert_eq!(script.begun(), [0, 20, 40]);
    // The others are cancelled.
    assert_eq!(script.running.load(Ordering::Relaxed), 0);

    let script = Script::new([answer(10)]);
    assert!(ground.call(&script, SAFE).await.is_ok());
    assert_eq!(script.begun(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_brings_the_next_hedge_at_once() {
    let ground = Ground::hedged(Hedge::after(1000 * MILLISECOND).attempts(3));
    for act in [unavailable as fn() -> Act, lost, refused, not_sent] {
        let script = Script::new([act(), answer(1)]);
        assert!(ground.call(&script, SAFE).await.is_ok());
        assert_eq!(script.begun(), [0, 1]);
    }
    // The second one fails while the first one is in progress.
    let script = Script::new([answer(3000), unavailable(), answer(1)]);
    assert!(ground.call(&script, SAFE).await.is_ok());
    assert_eq!(script.begun(), [0, 1000, 1001]);
    // All of them do.
    let script = Script::new([unavailable(), unavailable(), unavailable()]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_fails_is_an_answer() {
    let ground = Ground::hedged(Hedge::after(20 * MILLISECOND));
    let script = Script::new([answer(5000), failed(Status::not_found("nobody"))]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert_eq!(status.message(), "nobody");
    assert_eq!(script.running.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_no_further_attempt_gets_no_hedge() {
    let ground = Ground::hedged(Hedge::after(20 * MILLISECOND).attempts(3));
    let (_, no) = failed(Status::unavailable("down").with_no_retry());
    let script = Script::new([answer(100), (MILLISECOND, no)]);
    assert!(ground.call(&script, SAFE).await.is_ok());
    assert_eq!(script.begun(), [0, 20]);
}

#[tokio::test(start_paused = true)]
async fn hedges_take_of_the_budget() {
    let mut ground = Ground::hedged(Hedge::after(20 * MILLISECOND));
    let policy = Retry::safe().budget(0.0).budget_floor(0);
    ground.budget = Budget::new(&policy, now());
    let script = Script::new([answer(100)]);
    assert!(ground.call(&script, SAFE).await.is_ok());
    assert_eq!(script.begun(), [0]);
    // What became of it is said if the call fails.
    let script = Script::new([(100 * MILLISECOND, unavailable().1)]);
    let status = ground.call(&script, SAFE).await.unwrap_err();
    assert!(
        status.to_string().contains("the budget is used up"),
        "{status}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_gives_its_attempts_up() {
    let ground = Ground::hedged(Hedge::after(20 * MILLISECOND));
    let script = Script::new([answer(5000), answer(5000)]);
    let call = ground.call(&script, SAFE);
    assert!(tokio::time::timeout(100 * MILLISECOND, call).await.is_err());
    assert_eq!(script.begun(), [0, 20]);
    assert_eq!(script.running.load(Ordering::Relaxed), 0);
}
