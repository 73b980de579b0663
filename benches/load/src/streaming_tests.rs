use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::{
    Caller, Failure, Framework, Operation, Stalled, Stream, Target, Times, measure_stream,
};

/// Its connection is the number of messages after which its streams end.
struct Endless;

impl Framework for Endless {
    const NAME: &'static str = "endless";
    type Connection = u64;
    type Caller = NoCaller;
    type Stream = Messages;

    async fn serve(_: SocketAddr, _: Option<usize>, _: fn(SocketAddr)) -> Result<(), Failure> {
        Ok(())
    }

    async fn connect(_: Target) -> Result<u64, Failure> {
        Ok(u64::MAX)
    }

    fn caller(_: &u64, _: usize, _: Operation, _: Bytes) -> NoCaller {
        NoCaller
    }

    async fn stream(end: &u64, _: usize, count: u64) -> Result<Messages, Failure> {
        Ok(Messages(count.min(*end)))
    }
}

struct NoCaller;

impl Caller for NoCaller {
    async fn call(&mut self) -> Result<(), Failure> {
        Err("nobody calls".into())
    }
}

/// As many messages are still to come.
struct Messages(u64);

impl Stream for Messages {
    async fn next(&mut self) -> Result<bool, Failure> {
        let more = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        Ok(more)
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

const TIMES: Times = Times {
    warm_up: Duration::ZERO,
    counted: Duration::ZERO,
};

#[test]
fn messages_are_counted() {
    let own = Some(std::process::id());
    let measured = runtime().block_on(measure_stream::<Endless>(&u64::MAX, 32, 10, TIMES, own));
    let measured = measured.unwrap();
    assert_eq!((measured.calls, measured.messages_per_call), (1, 10));
    assert_eq!(
        measured.bytes_per_second,
        measured.messages_per_second * 32.0
    );
    assert!(measured.server_cores.is_some());
}

#[test]
fn a_call_that_ends_early_is_a_failure() {
    let measured = runtime().block_on(measure_stream::<Endless>(&5, 32, 10, TIMES, None));
    assert!(measured.unwrap_err().to_string().contains("after 5"));
}

#[test]
fn a_stalled_call_has_to_go_on_afterwards() {
    let stalled_until = |end| {
        runtime().block_on(async {
            let stalled = Stalled::begin::<Endless>(&end, 2).await?;
            stalled.read_on().await
        })
    };
    stalled_until(u64::MAX).unwrap();
    stalled_until(100).unwrap_err();
    stalled_until(0).unwrap_err();
}
