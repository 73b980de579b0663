use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::closed_loop::{Group, count};
use crate::report::BesideMeasurement;
use crate::{Caller, Crowd, Failure, Load, Operation, Times, measure};

struct Counter {
    calls: Arc<AtomicU64>,
    fails_at: u64,
}

impl Caller for Counter {
    async fn call(&mut self) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        if self.calls.fetch_add(1, Ordering::Relaxed) >= self.fails_at {
            return Err("no more".into());
        }
        Ok(())
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

fn load(callers: usize) -> Load {
    Load {
        operation: Operation::Echo,
        callers,
        size: 0,
        times: Times {
            warm_up: Duration::from_millis(1),
            counted: Duration::from_millis(100),
        },
    }
}

#[test]
fn calls_are_counted_and_timed() {
    let runtime = runtime();
    let calls = Arc::new(AtomicU64::new(0));
    let callers = (0..3).map(|_| Counter {
        calls: Arc::clone(&calls),
        fails_at: u64::MAX,
    });
    let own = std::process::id();
    let measurement = measure(runtime.handle(), "counter", load(3), Some(own), callers).unwrap();
    assert!(measurement.calls > 0 && measurement.calls <= calls.load(Ordering::Relaxed));
    assert!(measurement.p50_us <= measurement.p99_us && measurement.p99_us <= measurement.p999_us);
    assert!(measurement.server_cpu_us_per_call.is_some());
    assert_eq!(
        (measurement.framework.as_str(), measurement.callers),
        ("counter", 3)
    );
}

#[test]
fn the_first_failure_ends_the_measurement() {
    let runtime = runtime();
    let callers = [Counter {
        calls: Arc::default(),
        fails_at: 5,
    }];
    let failure = measure(runtime.handle(), "counter", load(1), None, callers).unwrap_err();
    assert_eq!(failure.to_string(), "no more");
}

#[test]
fn groups_are_counted_apart_and_pauses_are_no_latency() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let crowd = |callers, size, pause| Crowd {
        callers,
        size,
        pause: Duration::from_millis(pause),
    };
    let [small, bulk] = [crowd(2, 32, 0), crowd(1, 1 << 20, 20)];
    let groups = [small, bulk].map(|crowd| Group {
        callers: Vec::from_iter((0..crowd.callers).map(|_| Counter {
            calls: Arc::default(),
            fails_at: u64::MAX,
        })),
        pause: crowd.pause,
    });
    let counted = count(runtime.handle(), load(3).times, None, groups.into()).unwrap();
    let measured = BesideMeasurement::new("counter", small, bulk, &counted);
    assert!(measured.bulk.calls < measured.small.calls);
    assert!(measured.bulk.p50_us < 20_000.0);
    assert_eq!(measured.bulk.pause_ms, 20);
    assert!(measured.server_cores.is_none());
}
