//! Many callers on one socket, which one task owns: it writes all requests that are waiting with one write, reads
//! many responses with one read and wakes their callers together.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::frame::{PATH, REQUEST, encode_header};
use crate::inbox::Inbox;

/// Payloads from this size are written where they lie; copying smaller ones beside their headers costs less.
const WRITE_IN_PLACE: usize = 64 * 1024;

/// Requests on their way out.
#[derive(Default)]
struct Outbox {
    /// Frames one behind the other.
    small: Vec<u8>,
    /// Header and payload of frames that go out after them.
    large: VecDeque<(Vec<u8>, Bytes)>,
    /// Bytes of the first of these that are written.
    written: usize,
}

impl Outbox {
    fn push(&mut self, channel: u32, payload: &Bytes) {
        if payload.len() < WRITE_IN_PLACE {
            encode_header(&mut self.small, REQUEST, PATH, channel, payload.len());
            self.small.extend_from_slice(payload);
        } else {
            let mut header = Vec::new();
            encode_header(&mut header, REQUEST, PATH, channel, payload.len());
            self.large.push_back((header, payload.clone()));
        }
    }

    fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    fn poll_write(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.small.len() {
            let rest = &self.small[self.written..];
            self.written += ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
        }
        if !self.small.is_empty() {
            self.small.clear();
            self.written = 0;
        }
        while let Some((header, payload)) = self.large.front() {
            let in_payload = self.written.saturating_sub(header.len());
            let parts = [
                IoSlice::new(&header[self.written.min(header.len())..]),
                IoSlice::new(&payload[in_payload..]),
            ];
            let size = header.len() + payload.len();
            self.written += ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &parts))?;
            if self.written == size {
                self.large.pop_front();
                self.written = 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// One caller's place; its index is the channel. It has a lock of its own, which caller and driver seldom want at
/// the same time, so that answering many calls keeps no one from sending.
#[derive(Default)]
struct Slot {
    waker: Option<Waker>,
    /// Where the data of `buffer` begins and ends, once the response is there.
    response: Option<(usize, usize)>,
    buffer: Vec<u8>,
}

/// What callers and driver hand each other.
#[derive(Default)]
struct State {
    outbox: Outbox,
    /// Requests in the outbox.
    waiting: usize,
    /// Requests without a response yet, those in the outbox included.
    in_flight: usize,
    slots: Vec<Arc<Mutex<Slot>>>,
    /// Present while the driver sleeps.
    driver: Option<Waker>,
    closed: bool,
}

type Shared = Arc<Mutex<State>>;

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection.
pub(crate) struct Connection {
    shared: Shared,
    pub(crate) address: SocketAddr,
}

impl Connection {
    /// Connects and starts the task that owns the socket.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let shared = Shared::default();
        let driver = Driver {
            stream,
            inbox: Inbox::new(),
            outbox: Outbox::default(),
            slots: Vec::new(),
            wakers: Vec::new(),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(driver.run());
        Ok(Self { shared, address })
    }

    /// The place of the caller with this index; each index once, counted from 0.
    pub(crate) fn call(&self, index: usize) -> Call {
        let mut state = lock(&self.shared);
        state.slots.resize_with(index + 1, Arc::default);
        Call {
            shared: Arc::clone(&self.shared),
            slot: Arc::clone(&state.slots[index]),
            channel: index as u32,
            response: Vec::new(),
        }
    }
}

/// A caller's place on a connection.
pub(crate) struct Call {
    shared: Shared,
    slot: Arc<Mutex<Slot>>,
    channel: u32,
    /// The last response; its memory takes the place of the next one's.
    response: Vec<u8>,
}

impl Call {
    /// Sends a request and waits for the response.
    pub(crate) async fn send(&mut self, payload: &Bytes) -> io::Result<&[u8]> {
        let mut sent = false;
        let (start, end) = poll_fn(|cx| {
            let mut slot = lock(&self.slot);
            if let Some(place) = slot.response.take() {
                std::mem::swap(&mut self.response, &mut slot.buffer);
                return Poll::Ready(Ok(place));
            }
            slot.waker = Some(cx.waker().clone());
            drop(slot);
            if sent {
                // Woken without a response: the connection has ended, unless this is a poll for no reason.
                return if lock(&self.shared).closed {
                    Poll::Ready(Err(closed()))
                } else {
                    Poll::Pending
                };
            }
            sent = true;
            let mut state = lock(&self.shared);
            if state.closed {
                return Poll::Ready(Err(closed()));
            }
            state.outbox.push(self.channel, payload);
            state.waiting += 1;
            state.in_flight += 1;
            let driver = state.driver.take();
            drop(state);
            if let Some(driver) = driver {
                driver.wake();
            }
            Poll::Pending
        })
        .await?;
        Ok(&self.response[start..end])
    }
}

fn closed() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// The task that owns the socket.
struct Driver {
    stream: TcpStream,
    inbox: Inbox,
    /// Taken from the callers and being written.
    outbox: Outbox,
    /// The state's slots, as far as they were needed here.
    slots: Vec<Arc<Mutex<Slot>>>,
    wakers: Vec<Waker>,
    shared: Shared,
}

impl Driver {
    async fn run(mut self) {
        // How a connection ends is for the callers to report; that they learn of it is what matters here.
        let _ = self.drive().await;
        let mut state = lock(&self.shared);
        state.closed = true;
        let slots = std::mem::take(&mut state.slots);
        drop(state);
        let wakers = slots.iter().filter_map(|slot| lock(slot).waker.take());
        wakers.for_each(Waker::wake);
    }

    async fn drive(&mut self) -> io::Result<()> {
        loop {
            let concerned = poll_fn(|cx| self.poll_work(cx)).await?;
            // Several callers are at work or about to be: let them all run, then write their requests together.
            // A lone caller would only wait.
            if concerned > 1 {
                tokio::task::yield_now().await;
            }
            if self.outbox.is_empty() {
                let mut state = lock(&self.shared);
                std::mem::swap(&mut self.outbox, &mut state.outbox);
                state.waiting = 0;
            }
        }
    }

    /// Writes what was taken, reads what is there, and says how many calls are concerned: those just answered and
    /// those that are not answered yet. While it is ready, callers need not wake this task.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = self.outbox.poll_write(&mut self.stream, cx)?.is_ready();
        let answered = self.poll_read(cx)?;
        let mut state = lock(&self.shared);
        state.in_flight -= answered;
        if answered > 1 || (state.waiting > 0 && written) {
            return Poll::Ready(Ok(answered + state.in_flight));
        }
        state.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads until nothing is left to read; the number of calls answered.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        let mut answered = 0;
        loop {
            let mut space = ReadBuf::new(self.inbox.space());
            match Pin::new(&mut self.stream).poll_read(cx, &mut space) {
                Poll::Pending => return Ok(answered),
                Poll::Ready(result) => result?,
            }
            let read = space.filled().len();
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.advance(read);
            answered += self.deliver()?;
        }
    }

    /// Hands all complete responses to their callers, then wakes them.
    fn deliver(&mut self) -> io::Result<usize> {
        let Self {
            inbox,
            slots,
            wakers,
            shared,
            ..
        } = self;
        let mut answer = |channel: u32, put: &mut dyn FnMut(&mut Slot)| {
            if slots.len() <= channel as usize {
                slots.clone_from(&lock(shared).slots);
            }
            // A channel that nobody has is the end of the program: its caller waits in vain.
            if let Some(slot) = slots.get(channel as usize) {
                let mut slot = lock(slot);
                put(&mut slot);
                wakers.extend(slot.waker.take());
            }
        };
        if let Some(frame) = inbox.large() {
            answer(frame.channel, &mut |slot| {
                inbox.swap(&mut slot.buffer);
                slot.response = Some((frame.data, frame.end));
            });
        }
        let consumed = inbox.frames(|bytes, frame| {
            answer(frame.channel, &mut |slot| {
                slot.buffer.clear();
                slot.buffer.extend_from_slice(&bytes[frame.data..frame.end]);
                slot.response = Some((0, slot.buffer.len()));
            });
        });
        inbox.consume(consumed?);
        let answered = wakers.len();
        wakers.drain(..).for_each(Waker::wake);
        Ok(answered)
    }
}
