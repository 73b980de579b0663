//! The loop itself: each caller sends its next request when it has the answer to the last.

use std::cell::Cell;
use std::error::Error;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::framework::Caller;
use crate::histogram::Histogram;
use crate::process::{ProcessError, cpu_time};
use crate::report::Measurement;
use crate::workload::Load;

/// Why a call or a measurement failed.
pub type Failure = Box<dyn Error + Send + Sync>;

const WARMING_UP: u8 = 0;
const COUNTING: u8 = 1;
const STOPPED: u8 = 2;

/// How long the calls in flight may take to end when the time is over.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// One histogram for each thread that records, so that the runtime's threads share no cache line.
const SHARDS: usize = 8;

/// What the callers of one measurement have in common.
struct Progress {
    phase: AtomicU8,
    shards: Vec<Histogram>,
    failure: Mutex<Option<Failure>>,
}

/// Runs `callers` on the runtime for the load's time, counts their calls and the CPU time of this process and of
/// the server, whose process is `server`. Blocks the calling thread, which must not be one of the runtime's: it is
/// the one that watches the time.
///
/// # Errors
///
/// The first failure of any call; a caller that does not end; a process that cannot be observed.
pub fn measure<C: Caller>(
    runtime: &Handle,
    framework: &str,
    load: Load,
    server: Option<u32>,
    callers: impl IntoIterator<Item = C>,
) -> Result<Measurement, Failure> {
    let progress = Arc::new(Progress {
        phase: AtomicU8::new(WARMING_UP),
        shards: (0..SHARDS).map(|_| Histogram::new()).collect(),
        failure: Mutex::new(None),
    });
    let (ended, all_ended) = mpsc::channel::<()>();
    for caller in callers {
        runtime.spawn(keep_calling(caller, Arc::clone(&progress), ended.clone()));
    }
    drop(ended);

    let sampled = sample(&progress, load, server, &all_ended);
    progress.phase.store(STOPPED, Ordering::Relaxed);
    // Every caller holds a sender; the receiver is disconnected when the last one has ended.
    let stopped = all_ended.recv_timeout(STOP_TIMEOUT);
    if let Some(failure) = progress
        .failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
    {
        return Err(failure);
    }
    if stopped != Err(mpsc::RecvTimeoutError::Disconnected) {
        return Err(format!("calls in flight did not end within {STOP_TIMEOUT:?}").into());
    }

    let latencies = Histogram::new();
    for shard in &progress.shards {
        latencies.add(shard);
    }
    let Sampled {
        elapsed,
        client,
        server,
    } = sampled?;
    Ok(Measurement::new(
        framework, load, elapsed, &latencies, client, server,
    ))
}

struct Sampled {
    elapsed: Duration,
    client: Duration,
    server: Option<Duration>,
}

/// Waits through warm-up and measurement; the CPU times are those of the measurement only.
fn sample(
    progress: &Progress,
    load: Load,
    server: Option<u32>,
    all_ended: &mpsc::Receiver<()>,
) -> Result<Sampled, ProcessError> {
    let own = std::process::id();
    let server_time = || server.map(cpu_time).transpose();
    // Callers send nothing: the wait ends early only when all of them have ended, which is a failure.
    let _ = all_ended.recv_timeout(load.warm_up);
    let (client_before, server_before, start) = (cpu_time(own)?, server_time()?, Instant::now());
    progress.phase.store(COUNTING, Ordering::Relaxed);
    let _ = all_ended.recv_timeout(load.duration);
    progress.phase.store(STOPPED, Ordering::Relaxed);
    let elapsed = start.elapsed();
    let (client_after, server_after) = (cpu_time(own)?, server_time()?);
    Ok(Sampled {
        elapsed,
        client: client_after.saturating_sub(client_before),
        server: server_after
            .zip(server_before)
            .map(|(after, before)| after.saturating_sub(before)),
    })
}

async fn keep_calling<C: Caller>(mut caller: C, progress: Arc<Progress>, _ended: mpsc::Sender<()>) {
    // One look at the clock a call: a call begins when the one before it has ended.
    let mut began = Instant::now();
    loop {
        if let Err(failure) = caller.call().await {
            progress
                .failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(failure);
            progress.phase.store(STOPPED, Ordering::Relaxed);
        }
        let now = Instant::now();
        match progress.phase.load(Ordering::Relaxed) {
            WARMING_UP => {}
            COUNTING => progress.shards[shard()].record(now - began),
            _ => return,
        }
        began = now;
    }
}

/// The histogram of this thread.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS));
    SHARD.get()
}
