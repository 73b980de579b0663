use std::time::Duration;

use iip_core::ErrorKind;
use iip_core::balance::Verdict;

use super::classify::{
    Circumstances, Cost, Decision, Failure, Situation, classify, may_have_run, repeatable,
};
use super::retry::Retry;
use crate::status::Pushback;
use crate::{Code, Idempotency, Outcome, Status};

const MARKS: [Idempotency; 3] = [
    Idempotency::Unknown,
    Idempotency::Idempotent,
    Idempotency::NoSideEffects,
];

fn codes() -> impl Iterator<Item = Code> {
    (0..=16).map(Code::from_i32)
}

fn failures() -> Vec<Failure> {
    let mut all = vec![
        Failure::Final,
        Failure::Unreachable,
        Failure::NotSent,
        Failure::Stopping,
        Failure::NotProcessed,
        Failure::Lost,
        Failure::TimedOut,
    ];
    all.extend(codes().map(Failure::Answered));
    all
}

/// The first attempt, of a channel with the default policy; half of the longest wait is drawn.
fn first(policy: &Retry, idempotency: Idempotency) -> Situation<'_> {
    Situation {
        policy,
        idempotency,
        pushback: None,
        others: false,
        attempts: 1,
        most: 3,
        hedged: false,
        unsent: 0,
        excused: false,
        random: 0.5,
    }
}

const NOW: Decision = Decision::Now(Cost::Free);
const NOW_PAID: Decision = Decision::Now(Cost::One);
const FAIL: Decision = Decision::Fail;

fn after(milliseconds: u64) -> Decision {
    Decision::After(Duration::from_millis(milliseconds), Cost::One)
}

/// The table of `docs/retries.md`: what comes after the first attempt, and after the next one that fails in the same
/// way.
#[test]
fn the_table() {
    let answered = Failure::Answered;
    let policy = Retry::safe();
    let table = [
        (Failure::Final, [[FAIL; 2]; 3]),
        (Failure::Unreachable, [[FAIL; 2]; 3]),
        (
            Failure::NotSent,
            [[NOW, Decision::After(Duration::from_millis(25), Cost::Free)]; 3],
        ),
        (
            Failure::Stopping,
            [[NOW, FAIL], [NOW, after(25)], [NOW, after(25)]],
        ),
        (
            Failure::NotProcessed,
            [
                [NOW_PAID, FAIL],
                [NOW_PAID, after(25)],
                [NOW_PAID, after(25)],
            ],
        ),
        (
            Failure::Lost,
            [[FAIL; 2], [after(25), after(50)], [after(25), after(50)]],
        ),
        (
            Failure::TimedOut,
            [[FAIL; 2], [after(25), after(50)], [after(25), after(50)]],
        ),
        (
            answered(Code::Unavailable),
            [[FAIL; 2], [after(25), after(50)], [after(25), after(50)]],
        ),
        (
            answered(Code::Aborted),
            [[FAIL; 2], [FAIL; 2], [after(25), after(50)]],
        ),
    ];
    let mut seen = Vec::new();
    for (failure, row) in table {
        seen.push(failure);
        for (idempotency, [once, twice]) in MARKS.into_iter().zip(row) {
            let situation = first(&policy, idempotency);
            assert_eq!(
                classify(failure, situation),
                once,
                "{failure:?} {idempotency:?}"
            );
            let counts = match failure {
                Failure::NotSent | Failure::Stopping | Failure::NotProcessed => 1,
                _ => 2,
            };
            let second = Situation {
                attempts: counts,
                unsent: 1,
                excused: true,
                ..situation
            };
            assert_eq!(
                classify(failure, second),
                twice,
                "{failure:?} {idempotency:?}"
            );
        }
    }
    for failure in failures() {
        for idempotency in MARKS {
            let decision = classify(failure, first(&policy, idempotency));
            assert!(seen.contains(&failure) || decision == FAIL, "{failure:?}");
        }
    }
}

/// Every situation there is.
fn situations(policy: &Retry) -> Vec<Situation<'_>> {
    let pushbacks = [
        None,
        Some(Pushback::After(Duration::from_secs(7))),
        Some(Pushback::Never),
    ];
    let mut all = Vec::new();
    for idempotency in MARKS {
        for pushback in pushbacks {
            for bits in 0..8 {
                for attempts in 1..=4 {
                    for unsent in 0..3 {
                        all.push(Situation {
                            pushback,
                            others: bits & 1 != 0,
                            hedged: bits & 2 != 0,
                            excused: bits & 4 != 0,
                            attempts,
                            unsent,
                            ..first(policy, idempotency)
                        });
                    }
                }
            }
        }
    }
    all
}

#[test]
fn what_holds_in_every_situation() {
    let policy = Retry::safe();
    for failure in failures() {
        for at in situations(&policy) {
            let decision = classify(failure, at);
            let text = format!("{failure:?} {at:?}: {decision:?}");
            let marked = at.idempotency != Idempotency::Unknown;
            let may_have_run = matches!(
                failure,
                Failure::Lost | Failure::TimedOut | Failure::Answered(_)
            );
            let refused = matches!(failure, Failure::Stopping | Failure::NotProcessed);
            let unsent = matches!(failure, Failure::NotSent | Failure::Unreachable);
            if failure == Failure::Final || may_have_run && !marked {
                assert_eq!(decision, FAIL, "{text}");
                continue;
            }
            match decision {
                Decision::Fail => {
                    let over = at.attempts >= at.most && !unsent && (at.excused || !refused);
                    let forbidden = at.pushback == Some(Pushback::Never) && !unsent;
                    let nowhere = failure == Failure::Unreachable;
                    let useless = refused && at.excused && !marked
                        || !refused && !repeatable(failure, at.idempotency);
                    assert!(over || forbidden || nowhere || useless, "{text}");
                }
                Decision::Now(cost) => {
                    let free = unsent || failure == Failure::Stopping && !at.excused;
                    assert_eq!(cost == Cost::Free, free, "{text}");
                    assert!(unsent || at.pushback.is_none(), "{text}");
                    assert!(unsent || refused && !at.excused || at.hedged, "{text}");
                    // Nothing is tried again at once for ever.
                    assert!(!unsent || at.others || at.unsent == 0, "{text}");
                }
                Decision::After(delay, cost) => {
                    let free = unsent || failure == Failure::Stopping && !at.excused;
                    assert_eq!(cost == Cost::Free, free, "{text}");
                    match at.pushback {
                        Some(Pushback::After(asked)) if !unsent => assert_eq!(delay, asked),
                        Some(Pushback::Never) if !unsent => panic!("{text}"),
                        _ => assert!(!delay.is_zero() && delay <= Duration::from_secs(1)),
                    }
                    assert!(unsent || !at.hedged || at.pushback.is_some(), "{text}");
                }
            }
            if at.attempts >= at.most && !unsent && (at.excused || !refused) {
                assert_eq!(decision, FAIL, "{text}");
            }
        }
    }
}

#[test]
fn other_endpoints_come_first() {
    let policy = Retry::safe();
    let at = Situation {
        others: true,
        unsent: 7,
        attempts: 9,
        ..first(&policy, Idempotency::Unknown)
    };
    assert_eq!(classify(Failure::NotSent, at), NOW);
    // Where none can be reached, that was seen of all of them, and would be seen again at once.
    assert_eq!(classify(Failure::Unreachable, at), FAIL);
}

#[test]
fn one_attempt_is_one_attempt() {
    let policy = Retry::off();
    let at = Situation {
        most: policy.attempts,
        ..first(&policy, Idempotency::NoSideEffects)
    };
    assert_eq!(classify(Failure::Lost, at), FAIL);
    assert_eq!(classify(Failure::Answered(Code::Unavailable), at), FAIL);
    assert_eq!(classify(Failure::NotProcessed, at), NOW_PAID);
    assert_eq!(classify(Failure::NotSent, at), NOW);
}

const IN_TIME: Circumstances = Circumstances {
    placed: true,
    expired: false,
    attempt_expired: false,
};

/// What the errors of connections and the answers of servers are taken for.
#[test]
fn failures_are_told_apart() {
    use ErrorKind::{Closed, Connect, Deadline, Invalid, QueueFull, Refused, TooLarge, Withdrawn};
    let not_sent = Some(Outcome::NotSent);
    let not_processed = Some(Outcome::NotProcessed);
    let unknown = Some(Outcome::Unknown);
    let refused = |code| Some(Refused { code });
    let unavailable = Code::Unavailable;
    let late = Code::DeadlineExceeded;
    for (outcome, kind, code, failure) in [
        (not_sent, Some(Connect), unavailable, Failure::Unreachable),
        (
            not_sent,
            Some(QueueFull),
            Code::ResourceExhausted,
            Failure::Unreachable,
        ),
        (not_sent, Some(Closed), unavailable, Failure::NotSent),
        (not_sent, Some(Deadline), late, Failure::NotSent),
        (not_sent, Some(Withdrawn), Code::Cancelled, Failure::Final),
        (not_sent, Some(Invalid), Code::Internal, Failure::Final),
        (not_sent, None, Code::ResourceExhausted, Failure::Final),
        (not_sent, None, unavailable, Failure::Final),
        (not_processed, refused(110), unavailable, Failure::Stopping),
        (
            not_processed,
            refused(109),
            unavailable,
            Failure::NotProcessed,
        ),
        (
            not_processed,
            refused(111),
            Code::ResourceExhausted,
            Failure::NotProcessed,
        ),
        (
            not_processed,
            refused(102),
            Code::Unimplemented,
            Failure::Final,
        ),
        (
            not_processed,
            refused(112),
            Code::Unauthenticated,
            Failure::Final,
        ),
        (
            not_processed,
            refused(113),
            Code::PermissionDenied,
            Failure::Final,
        ),
        (not_processed, None, unavailable, Failure::NotProcessed),
        (not_processed, None, Code::Aborted, Failure::NotProcessed),
        (not_processed, None, Code::Internal, Failure::Final),
        (not_processed, None, late, Failure::Final),
        (unknown, refused(114), late, Failure::Final),
        (unknown, refused(-1), Code::Unknown, Failure::Final),
        (unknown, Some(Closed), unavailable, Failure::Lost),
        (unknown, Some(Deadline), late, Failure::TimedOut),
        (
            unknown,
            Some(TooLarge),
            Code::ResourceExhausted,
            Failure::Final,
        ),
        (unknown, None, Code::Internal, Failure::Final),
        (None, None, late, Failure::Answered(late)),
    ] {
        let got = Failure::with(outcome, kind.as_ref(), code, IN_TIME);
        assert_eq!(got, failure, "{outcome:?} {kind:?} {code:?}");
        let expired = Circumstances {
            expired: true,
            ..IN_TIME
        };
        let got = Failure::with(outcome, kind.as_ref(), code, expired);
        assert_eq!(got, Failure::Final);
    }
    for code in codes() {
        let got = Failure::with(None, None, code, IN_TIME);
        assert_eq!(got, Failure::Answered(code));
    }
    // Without a connection it is the channel that was closed.
    let unplaced = Circumstances {
        placed: false,
        ..IN_TIME
    };
    let closed = Failure::with(not_sent, Some(&Closed), unavailable, unplaced);
    assert_eq!(closed, Failure::Final);
    // The server may be the first to see that the attempt's time is over.
    let over = Circumstances {
        attempt_expired: true,
        ..IN_TIME
    };
    assert_eq!(Failure::with(None, None, late, over), Failure::TimedOut);
    assert_eq!(Failure::with(unknown, None, late, over), Failure::TimedOut);
    assert_eq!(
        Failure::with(not_processed, None, late, over),
        Failure::NotSent
    );
    let status = Status::unavailable("").with_outcome(Outcome::NotProcessed);
    assert_eq!(Failure::of(&status, IN_TIME), Failure::NotProcessed);
}

#[test]
fn trouble_is_what_the_server_or_the_network_has() {
    let trouble = [
        Failure::NotProcessed,
        Failure::Lost,
        Failure::TimedOut,
        Failure::Answered(Code::Unavailable),
    ];
    for failure in failures() {
        assert_eq!(
            failure.is_trouble(),
            trouble.contains(&failure),
            "{failure:?}"
        );
    }
}

/// Endpoints are judged by what they do, not by what the methods say of the calls.
#[test]
fn endpoints_are_judged() {
    let broken = [
        Code::Internal,
        Code::Unknown,
        Code::DataLoss,
        Code::Unavailable,
    ];
    let expired = Circumstances {
        expired: true,
        ..IN_TIME
    };
    let unknown = Some(Outcome::Unknown);
    for failure in failures() {
        let verdict = match failure {
            Failure::Answered(code) if !broken.contains(&code) => Verdict::Success,
            Failure::Answered(_) | Failure::Lost | Failure::TimedOut => Verdict::Failure,
            _ => Verdict::Neutral,
        };
        assert_eq!(failure.verdict(unknown, IN_TIME), verdict, "{failure:?}");
        assert_eq!(failure.verdict(None, IN_TIME), verdict, "{failure:?}");
    }
    // The call's own deadline passed while the endpoint had it, or before.
    assert_eq!(Failure::Final.verdict(unknown, expired), Verdict::Failure);
    let not_sent = Some(Outcome::NotSent);
    assert_eq!(Failure::Final.verdict(not_sent, expired), Verdict::Neutral);
}

#[test]
fn only_what_was_not_sent_or_not_processed_cannot_have_run() {
    let status = Status::unavailable("");
    assert!(may_have_run(&status));
    assert!(may_have_run(&status.clone().with_outcome(Outcome::Unknown)));
    assert!(!may_have_run(
        &status.clone().with_outcome(Outcome::NotSent)
    ));
    assert!(!may_have_run(&status.with_outcome(Outcome::NotProcessed)));
}
