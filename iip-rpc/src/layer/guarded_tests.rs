use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::guarded::{Guard, guard};
use crate::body::{BodyStream, Kind};
use crate::envelope::{Batch, MessageBytes};
use crate::{Body, Code, Response, Status};

/// Does what its list says, from the back.
struct Script(Vec<Step>);

enum Step {
    Message,
    Wait,
    Fail,
    Panic,
}

impl BodyStream for Script {
    fn poll_records(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        match self.0.pop() {
            None => Poll::Ready(None),
            Some(Step::Message) => {
                let message = MessageBytes::bare(bytes::Bytes::new());
                Poll::Ready(Some(Ok(Batch::from(message))))
            }
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Fail) => Poll::Ready(Some(Err(Status::aborted("on request")))),
            Some(Step::Panic) => panic!("on request"),
        }
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// How the response ended, told once; stops it when asked to.
#[derive(Clone, Default)]
struct Told {
    ends: Arc<Mutex<Vec<Code>>>,
    stop: bool,
}

impl Guard for Told {
    const CATCHES_PANICS: bool = true;

    fn poll_stop(&mut self, _: &mut Context<'_>) -> Poll<Status> {
        match self.stop {
            true => Poll::Ready(Status::deadline_exceeded("")),
            false => Poll::Pending,
        }
    }

    fn ended(&mut self, status: Option<&Status>) {
        let code = status.map_or(Code::Ok, Status::code);
        self.ends.lock().unwrap().push(code);
    }
}

/// Takes `polls` times from a guarded stream of these steps; what came, and how it ended for the guard.
fn run(mut steps: Vec<Step>, polls: usize, stop: bool) -> (Vec<Option<Code>>, Vec<Code>) {
    steps.reverse();
    let told = Told {
        stop,
        ..Told::default()
    };
    let ends = Arc::clone(&told.ends);
    let response = guard(Response::new(Body::from_stream(Script(steps))), told);
    let Kind::Stream(mut stream) = response.into_inner().into_kind() else {
        panic!("no stream");
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut seen = Vec::new();
    for _ in 0..polls {
        match stream.as_mut().poll_records(&mut context) {
            Poll::Ready(Some(Ok(_))) => seen.push(Some(Code::Ok)),
            Poll::Ready(Some(Err(status))) => seen.push(Some(status.code())),
            Poll::Ready(None) => seen.push(None),
            Poll::Pending => {}
        }
    }
    drop(stream);
    let ends = ends.lock().unwrap().clone();
    (seen, ends)
}

#[test]
fn the_end_is_told_once() {
    use Step::{Fail, Message, Panic, Wait};
    let ok = Some(Code::Ok);
    for (steps, polls, seen, end) in [
        (vec![Message], 2, vec![ok, None], Code::Ok),
        // The last message was taken, and it is known that nothing follows.
        (vec![Message], 1, vec![ok], Code::Ok),
        (vec![Message, Message], 1, vec![ok], Code::Cancelled),
        (vec![Wait, Message], 1, vec![], Code::Cancelled),
        (vec![Fail], 1, vec![Some(Code::Aborted)], Code::Aborted),
        (
            vec![Fail, Message],
            2,
            vec![Some(Code::Aborted), None],
            Code::Aborted,
        ),
        (
            vec![Panic, Message],
            2,
            vec![Some(Code::Internal), None],
            Code::Internal,
        ),
    ] {
        assert_eq!(run(steps, polls, false), (seen, vec![end]));
    }
}

#[test]
fn a_stop_ends_what_waits_and_not_what_is_there() {
    use Step::{Message, Wait};
    let (seen, end) = run(vec![Message, Wait, Message], 3, true);
    assert_eq!(seen, [Some(Code::Ok), Some(Code::DeadlineExceeded), None]);
    assert_eq!(end, [Code::DeadlineExceeded]);
}

#[test]
fn one_message_ends_at_once() {
    let told = Told::default();
    let body = Body::from(bytes::Bytes::from_static(b"m"));
    let response = guard(Response::new(body), told.clone());
    assert_eq!(*told.ends.lock().unwrap(), [Code::Ok]);
    assert!(!response.get_ref().is_stream());
}
