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
use crate::workload::{Load, Times};

/// Why a call or a measurement failed.
pub type Failure = Box<dyn Error + Send + Sync>;

const WARMING_UP: u8 = 0;
const COUNTING: u8 = 1;
const STOPPED: u8 = 2;

/// How long the calls in flight may take to end when the time is over.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// One histogram for each thread that records, so that the runtime's threads share no cache line.
const SHARDS: usize = 8;

/// What all callers of one measurement have in common.
struct Progress {
    phase: AtomicU8,
    failure: Mutex<Option<Failure>>,
}

/// Callers that are counted together.
pub(crate) struct Group<C> {
    pub(crate) callers: Vec<C>,
    /// Between the end of a call and the beginning of the next.
    pub(crate) pause: Duration,
}

/// What was counted.
pub(crate) struct Counted {
    pub(crate) elapsed: Duration,
    /// CPU time of this process.
    pub(crate) client: Duration,
    /// CPU time of the server's process, if it was named.
    pub(crate) server: Option<Duration>,
    /// Of each group.
    pub(crate) latencies: Vec<Histogram>,
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
    let group = Group {
        callers: callers.into_iter().collect(),
        pause: Duration::ZERO,
    };
    let counted = count(runtime, load.times, server, vec![group])?;
    Ok(Measurement::new(framework, load, &counted))
}

/// As [`measure`], for any number of groups at the same time.
pub(crate) fn count<C: Caller>(
    runtime: &Handle,
    times: Times,
    server: Option<u32>,
    groups: Vec<Group<C>>,
) -> Result<Counted, Failure> {
    let progress = Arc::new(Progress {
        phase: AtomicU8::new(WARMING_UP),
        failure: Mutex::new(None),
    });
    let (ended, all_ended) = mpsc::channel::<()>();
    let mut shards = Vec::new();
    for Group { callers, pause } in groups {
        let group: Arc<[Histogram]> = (0..SHARDS).map(|_| Histogram::new()).collect();
        for caller in callers {
            runtime.spawn(keep_calling(
                caller,
                pause,
                Arc::clone(&group),
                Arc::clone(&progress),
                ended.clone(),
            ));
        }
        shards.push(group);
    }
    drop(ended);

    let sampled = sample(&progress, times, server, &all_ended);
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

    let together = |group: &Arc<[Histogram]>| {
        let latencies = Histogram::new();
        group.iter().for_each(|shard| latencies.add(shard));
        latencies
    };
    let Sampled {
        elapsed,
        client,
        server,
    } = sampled?;
    Ok(Counted {
        elapsed,
        client,
        server,
        latencies: shards.iter().map(together).collect(),
    })
}

struct Sampled {
    elapsed: Duration,
    client: Duration,
    server: Option<Duration>,
}

/// Waits through warm-up and measurement; the CPU times are those of the measurement only.
fn sample(
    progress: &Progress,
    times: Times,
    server: Option<u32>,
    all_ended: &mpsc::Receiver<()>,
) -> Result<Sampled, ProcessError> {
    let own = std::process::id();
    let server_time = || server.map(cpu_time).transpose();
    // Callers send nothing: the wait ends early only when all of them have ended, which is a failure.
    let _ = all_ended.recv_timeout(times.warm_up);
    let (client_before, server_before, start) = (cpu_time(own)?, server_time()?, Instant::now());
    progress.phase.store(COUNTING, Ordering::Relaxed);
    let _ = all_ended.recv_timeout(times.counted);
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

async fn keep_calling<C: Caller>(
    mut caller: C,
    pause: Duration,
    shards: Arc<[Histogram]>,
    progress: Arc<Progress>,
    _ended: mpsc::Sender<()>,
) {
    // One look at the clock a call: without a pause, a call begins when the one before it has ended.
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
            COUNTING => shards[shard()].record(now - began),
            _ => return,
        }
        began = now;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
            began = Instant::now();
        }
    }
}

/// The histogram of this thread.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static SHARD: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS));
    SHARD.get()
}
