use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time::Sleep;

use super::socket::Socket;
use crate::memory;
use crate::session::{Batch, Ended, Output};
use crate::transport::Io;

/// Most bytes read, and written, before others get their turn, so that a peer who never pauses does not starve them.
const BUDGET: usize = 256 * 1024;

/// How long a quiet connection keeps its buffers.
const QUIET: Duration = Duration::from_secs(1);

/// How long the peer may accept nothing of the rest of the output once the connection has ended.
const FLUSH_STALL: Duration = Duration::from_secs(2);

/// How long a closing server reads on.
const LINGER: Duration = Duration::from_secs(2);

/// What there is to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transmit {
    /// Nothing. The waker was kept.
    Nothing,
    /// Some now, and more if the tasks that are ready get to run first.
    Soon,
    /// The same, and the tasks that matter were just woken by this driver.
    AfterWoken,
    /// What was put into the buffer.
    Now,
}

/// One side of a connection, as the driver sees it: the session behind its lock, and what to do with its events.
pub(crate) trait Endpoint: Send + 'static {
    /// Takes a batch of `input`, at whose end are `received` new bytes, and acts on what it means.
    fn input(&mut self, input: &mut BytesMut, received: usize, batch: Batch, now: Instant);
    /// Fills `output`, after the socket accepted `written` more bytes. May ask to be called again after other tasks ran
    /// instead; `yielded` counts how often that was done since something was read or written.
    fn transmit(
        &mut self,
        output: &mut Output,
        written: usize,
        yielded: u8,
        waker: &Waker,
    ) -> Transmit;
    /// The socket takes no more for now, after `written` more bytes: keeps the waker for everything else that is to be
    /// done meanwhile.
    fn park(&mut self, written: usize, waker: &Waker);
    /// Acts on deadlines that have passed.
    fn timeout(&mut self, now: Instant);
    /// What the driver has to know before it waits, as of the last call of another method.
    fn status(&self) -> Status;
    /// The peer will send no more.
    fn eof(&mut self);
    /// Ends the connection for a reason that the session cannot know.
    fn end(&mut self, why: Ended);
    /// The connection is over, after the socket accepted `written` more bytes: everybody who waits gets an answer.
    fn closed(&mut self, written: usize);
    /// Gives back memory that a burst needed.
    fn shrink(&mut self);
    /// How long the peer may accept nothing until it counts as lost.
    fn write_stall(&self) -> Duration;
    /// Whether the last bytes must be protected from a reset (see [`Socket::linger`]).
    const LINGERS: bool;
    /// How long the rest of the output may take in all once the connection has ended.
    const FLUSH_LIMIT: Duration;
}

/// See [`Endpoint::status`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) wants_read: bool,
    /// Input was left: the batch was over, or the session wanted no more.
    pub(crate) deferred: bool,
    pub(crate) missing: usize,
    pub(crate) deadline: Option<Instant>,
    pub(crate) ended: bool,
}

enum Turn {
    /// The tasks woken by this one should run first.
    AfterWoken,
    /// All that are ready should run first, and the sockets be polled.
    Yield,
    Over,
}

struct Driver<T, E> {
    socket: Socket<T>,
    endpoint: E,
    status: Status,
    /// Bytes the socket accepted and the endpoint does not know of.
    written: usize,
    /// How often others were let run since something was read or written last.
    yielded: u8,
    /// Input was left that needs no read.
    deferred: bool,
    /// How what was read last is divided.
    batch: Batch,
    /// Others had their turn and what they have queued is written before more is read.
    writes_first: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer fires. Early is harmless, so it is only ever moved forward.
    timer_at: Option<Instant>,
    quiet_at: Option<Instant>,
    /// It was quiet, and large buffers were left that had been used just before.
    quiet_again: bool,
    ended_at: Option<Instant>,
    /// Nothing more can be written.
    broken: bool,
    _memory: memory::User,
}

/// Owns the socket of one connection until it is over. The only task that reads or writes it.
///
/// Each open connection holds this future: what it is made of is in it once, and its last part has memory of its own.
pub(crate) fn drive<T: Io, E: Endpoint>(
    io: T,
    endpoint: E,
) -> impl Future<Output = ()> + Send + 'static {
    let status = endpoint.status();
    let mut driver = Driver {
        socket: Socket::new(io),
        endpoint,
        status,
        written: 0,
        yielded: 0,
        deferred: false,
        batch: Batch::ALL,
        writes_first: false,
        timer: None,
        timer_at: None,
        quiet_at: None,
        quiet_again: false,
        ended_at: None,
        broken: false,
        _memory: memory::User::new(),
    };
    async move {
        loop {
            match poll_fn(|cx| driver.poll_turn(cx)).await {
                Turn::AfterWoken => requeue().await,
                // Not for every turn: an idle worker is woken each time, to look for work that is not there.
                Turn::Yield => tokio::task::yield_now().await,
                Turn::Over => break,
            }
            driver.writes_first = true;
            driver.yielded = driver.yielded.saturating_add(1);
        }
        driver.endpoint.closed(driver.written);
        if E::LINGERS {
            Box::pin(driver.socket.linger(LINGER)).await;
        } else {
            Box::pin(driver.socket.shutdown()).await;
        }
    }
}

impl<T: Io, E: Endpoint> Driver<T, E> {
    /// Reads, writes and acts until there is nothing to do but wait.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let (mut to_read, mut to_write) = (BUDGET, BUDGET);
        loop {
            let read = match std::mem::take(&mut self.writes_first) {
                true => Progress::Some,
                false => self.poll_input(cx, &mut to_read),
            };
            let wrote = self.poll_output(cx, &mut to_write);
            if wrote == Progress::AfterWoken && read != Progress::Yield {
                self.poll_timer(cx);
                return Poll::Ready(Turn::AfterWoken);
            }
            if wrote.is_yield() || read == Progress::Yield {
                self.poll_timer(cx);
                return Poll::Ready(Turn::Yield);
            }
            if self.is_over(wrote) {
                return Poll::Ready(Turn::Over);
            }
            // The socket was not asked for input, but what was written may have made room for some.
            let reads_again = read == Progress::Unwanted && self.reads();
            let idle = read.is_idle() && wrote == Progress::None && !reads_again;
            if idle && !self.poll_timer(cx) {
                return Poll::Pending;
            }
        }
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, budget: &mut usize) -> Progress {
        if !self.reads() {
            return Progress::Unwanted;
        }
        if std::mem::take(&mut self.deferred) {
            self.take_input(0);
            return Progress::Some;
        }
        if *budget == 0 {
            return Progress::Yield;
        }
        match self.socket.poll_read(cx, self.status.missing) {
            Poll::Pending => Progress::None,
            Poll::Ready(Ok(0)) => {
                self.endpoint.eof();
                self.refresh();
                Progress::Some
            }
            Poll::Ready(Ok(count)) => {
                *budget = budget.saturating_sub(count);
                self.take_input(count);
                Progress::Some
            }
            Poll::Ready(Err(error)) => {
                self.end(Ended::Io(error.kind()));
                Progress::Some
            }
        }
    }

    fn reads(&self) -> bool {
        self.status.wants_read && !self.status.ended
    }

    fn take_input(&mut self, count: usize) {
        let now = now();
        if count > 0 {
            self.batch = Batch::of(self.socket.input.len());
        }
        self.endpoint
            .input(&mut self.socket.input, count, self.batch, now);
        self.yielded = 0;
        self.quiet_at = Some(now + QUIET);
        self.quiet_again = false;
        self.refresh();
        self.deferred = self.status.deferred;
    }

    fn refresh(&mut self) {
        self.status = self.endpoint.status();
        if self.status.ended && self.ended_at.is_none() {
            self.ended_at = Some(now());
        }
    }

    fn poll_output(&mut self, cx: &mut Context<'_>, budget: &mut usize) -> Progress {
        if *budget == 0 {
            return Progress::Yield;
        }
        if !self.socket.has_output() {
            let yielded = if self.status.ended {
                u8::MAX
            } else {
                self.yielded
            };
            let transmit =
                self.endpoint
                    .transmit(&mut self.socket.output, self.written, yielded, cx.waker());
            self.written = 0;
            match transmit {
                Transmit::Soon => return Progress::Yield,
                Transmit::AfterWoken => return Progress::AfterWoken,
                Transmit::Nothing => {
                    self.refresh();
                    return Progress::None;
                }
                Transmit::Now => {}
            }
            // An answer that was long in the making.
            if self.quiet_at.is_none() {
                self.quiet_at = Some(now() + QUIET);
            }
        }
        match self.socket.poll_write(cx, now) {
            Poll::Pending => {
                let written = std::mem::take(&mut self.written);
                self.endpoint.park(written, cx.waker());
                self.refresh();
                Progress::None
            }
            Poll::Ready(Ok(count)) => {
                self.yielded = 0;
                self.written += count;
                *budget = budget.saturating_sub(count);
                Progress::Some
            }
            Poll::Ready(Err(error)) => {
                self.end(Ended::Io(error.kind()));
                self.broken = true;
                Progress::Some
            }
        }
    }

    fn end(&mut self, why: Ended) {
        self.endpoint.end(why);
        self.refresh();
    }

    /// Whether the connection has ended and what was left to say is said, or cannot be.
    fn is_over(&mut self, wrote: Progress) -> bool {
        match self.ended_at {
            None => false,
            Some(_) if self.broken => true,
            Some(_) if !self.socket.has_output() => wrote == Progress::None,
            Some(_) => self.flush_ends().is_some_and(|at| at <= now()),
        }
    }

    /// When the rest of the output is given up.
    fn flush_ends(&self) -> Option<Instant> {
        let limit = self.ended_at? + E::FLUSH_LIMIT;
        let stall = self.socket.stalls_at(FLUSH_STALL);
        Some(stall.map_or(limit, |stall| stall.min(limit)))
    }

    /// True: a deadline has passed and was acted on.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let stall = self.socket.stalls_at(self.endpoint.write_stall());
        let quiet = self.quiet_at;
        let next = [self.status.deadline, stall, quiet, self.flush_ends()]
            .into_iter()
            .flatten()
            .min();
        let next = match next {
            Some(next) => next,
            None if self.timer_at.is_some() => return self.fire(cx),
            None => return false,
        };
        if self.timer_at.is_none_or(|at| next < at) {
            self.timer_at = Some(next);
            let at = tokio::time::Instant::from_std(next);
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(at),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(at))),
            }
        }
        self.fire(cx)
    }

    fn fire(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(timer) = &mut self.timer else {
            return false;
        };
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.timer_at = None;
        let now = now();
        if self
            .socket
            .stalls_at(self.endpoint.write_stall())
            .is_some_and(|at| at <= now)
        {
            self.end(Ended::Silent("what was written to it"));
            self.broken = true;
        }
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.socket.shrink();
            self.quiet_again = memory::release_idle() && !self.quiet_again;
            self.quiet_at = self.quiet_again.then(|| now + QUIET);
            self.endpoint.shrink();
        }
        self.endpoint.timeout(now);
        self.refresh();
        true
    }
}

/// Goes on after the tasks that were woken before. Sockets are not polled meanwhile.
async fn requeue() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    None,
    Some,
    /// The connection is not to be read now.
    Unwanted,
    /// The tasks that were just woken should run first.
    AfterWoken,
    /// Others should run first.
    Yield,
}

impl Progress {
    fn is_idle(self) -> bool {
        matches!(self, Self::None | Self::Unwanted)
    }

    fn is_yield(self) -> bool {
        matches!(self, Self::AfterWoken | Self::Yield)
    }
}

/// How a driver is woken, kept under its connection's lock: at most once until it has looked again.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// The waker of a driver that sleeps. Without one it runs, or is about to, and nobody needs to wake it.
    sleeper: Option<Waker>,
}

impl Alarm {
    /// Wakes the driver if it sleeps: to be woken after the lock is released.
    pub(crate) fn schedule(&mut self) -> Option<Waker> {
        self.sleeper.take()
    }

    /// The driver is about to sleep.
    pub(crate) fn park(&mut self, waker: &Waker) {
        match &mut self.sleeper {
            Some(kept) => kept.clone_from(waker),
            None => self.sleeper = Some(waker.clone()),
        }
    }
}

/// The time, as tokio's timers see it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
