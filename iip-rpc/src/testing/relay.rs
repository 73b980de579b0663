use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use iip_core::transport::{Address, Io, MemoryListener, TcpOptions, connect, memory_listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::faults::Faults;
use super::random::Random;

/// How long the relay tries to reach its target.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest piece that is passed on, bytes.
const MAX_PIECE: u64 = 16 * 1024;

/// Stands between clients and a server; made by [`Faults::relay`]. Dropping it ends its connections.
#[derive(Debug)]
pub struct Relay {
    address: Address,
    shared: Arc<Shared>,
    /// Counts the times that all connections were cut.
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    connections: AtomicU64,
    passed: AtomicU64,
}

impl Faults {
    /// Starts a relay to `target`; inside a runtime.
    pub fn relay(self, target: &Address) -> Relay {
        Relay::start(self, target.clone())
    }
}

impl Relay {
    fn start(faults: Faults, target: Address) -> Self {
        let (listener, connector) = memory_listener();
        let (cuts, cut) = watch::channel(0);
        let shared = Arc::new(Shared::default());
        let accepting = accept(listener, faults, target, Arc::clone(&shared), cut);
        Self {
            address: connector.address(),
            shared,
            cuts,
            accepting: tokio::spawn(accepting),
        }
    }

    /// What clients connect to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Bytes passed on so far, both directions of all connections.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    /// Cuts all connections there are. New ones are accepted as before.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The connections' tasks end when `cuts` is dropped.
        self.accepting.abort();
    }
}

async fn accept(
    mut listener: MemoryListener,
    faults: Faults,
    target: Address,
    shared: Arc<Shared>,
    mut cut: watch::Receiver<u64>,
) {
    loop {
        let near = listener.accept().await;
        let index = shared.connections.fetch_add(1, Ordering::Relaxed);
        let faults = faults.of(index);
        let mut numbers = faults.numbers(index);
        if faults.refuse.is_some_and(|count| numbers.once_in(count)) {
            continue;
        }
        cut.mark_unchanged();
        let target = target.clone();
        let (shared, mut cut) = (Arc::clone(&shared), cut.clone());
        tokio::spawn(async move {
            let connection = pass(near, faults, target, numbers, shared);
            // Ready with an error when the relay is dropped.
            either(connection, async { drop(cut.changed().await) }).await;
        });
    }
}

/// Passes bytes on in both directions until both ended or one is cut.
async fn pass(
    near: impl Io,
    faults: Faults,
    target: Address,
    numbers: Random,
    shared: Arc<Shared>,
) {
    let Ok((far, _)) = connect(&target, CONNECT_TIMEOUT, &TcpOptions::default()).await else {
        return;
    };
    let (from_near, to_near) = split(near);
    let (from_far, to_far) = split(far);
    let passed = &shared.passed;
    let there = direction(from_near, to_far, &faults, numbers.part(1), passed);
    let back = direction(from_far, to_near, &faults, numbers.part(2), passed);
    both(there, back).await;
}

/// How a direction ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its sender is done: the other direction goes on.
    Closed,
    /// The connection is gone.
    Cut,
}

async fn direction<R: Io, W: Io>(
    mut from: ReadHalf<R>,
    mut to: WriteHalf<W>,
    faults: &Faults,
    mut numbers: Random,
    passed: &AtomicU64,
) -> End {
    let mut left = faults
        .drop_after
        .as_ref()
        .map_or(u64::MAX, |range| numbers.among(range));
    let mut buffer = vec![0; MAX_PIECE as usize];
    while left > 0 {
        let most = numbers.among(&faults.pieces).clamp(1, MAX_PIECE).min(left);
        let piece = buffer.get_mut(..most as usize).unwrap_or_default();
        let len = match from.read(piece).await {
            Ok(0) => {
                let _ = to.shutdown().await;
                return End::Closed;
            }
            Ok(len) => len,
            Err(_) => return End::Cut,
        };
        if let Some((pieces, time)) = &faults.stall
            && numbers.once_in(*pieces)
        {
            sleep(numbers.time(time)).await;
        }
        if let Some(time) = &faults.delay {
            sleep(numbers.time(time)).await;
        }
        let piece = piece.get(..len).unwrap_or_default();
        if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
            return End::Cut;
        }
        left -= len as u64;
        passed.fetch_add(len as u64, Ordering::Relaxed);
    }
    End::Cut
}

/// Until both directions are closed or one of them is cut.
async fn both(there: impl Future<Output = End>, back: impl Future<Output = End>) {
    let (mut there, mut back) = (pin!(there), pin!(back));
    let (mut there_closed, mut back_closed) = (false, false);
    poll_fn(|context| {
        if !there_closed && let Poll::Ready(end) = there.as_mut().poll(context) {
            if end == End::Cut {
                return Poll::Ready(());
            }
            there_closed = true;
        }
        if !back_closed && let Poll::Ready(end) = back.as_mut().poll(context) {
            if end == End::Cut {
                return Poll::Ready(());
            }
            back_closed = true;
        }
        if there_closed && back_closed {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// Until one of the two is ready.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        if one.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        other.as_mut().poll(context)
    })
    .await;
}
