use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use iip_core::session::{MESSAGE_COST, PIECE};
use iip_core::wire::record::{RecordKind, encode_header};
use prost::Message;

use crate::body::{BodyStream, Callee};
use crate::envelope::{Batch, MessageBytes};
use crate::{Compression, Metadata, Status};

/// Smallest and largest memory that messages are written into.
const SMALLEST_BUFFER: usize = 256;
const LARGEST_BUFFER: usize = 2 * PIECE;

/// Messages on their way from senders to one taker: encoded when they are sent, taken many at a time.
///
/// Bounded by what the messages cost: a message is let in while less than the limit waits.
pub(crate) struct Queue {
    state: Mutex<State>,
    limit: usize,
}

#[derive(Default)]
struct State {
    /// What is ready to be taken before `records`.
    ready: VecDeque<Batch>,
    /// Whole MESSAGE records, costing [`PIECE`] at most.
    records: BytesMut,
    records_cost: usize,
    /// Whether `records`, and what comes after them, are to be compressed on their way.
    compression: Compression,
    /// What everything here costs.
    queued: usize,
    end: Option<End>,
    /// Nobody takes messages any more.
    closed: bool,
    /// The sending side has said something: metadata or a message.
    spoken: bool,
    metadata: Metadata,
    trailers: Metadata,
    /// Set when the call has begun, on the caller's side.
    callee: Option<Callee>,
    /// How much memory the next records will need, going by the last.
    expected: usize,
    taker: Option<Waker>,
    /// Who waits for room.
    senders: Vec<Waker>,
    /// Who waits for the end of the taker, or for the call to begin.
    watchers: Vec<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    /// The sender was dropped in the middle.
    Cancelled,
}

/// Why a message was not taken in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no room now.
    Full,
    /// Nobody takes messages any more.
    Closed,
    /// The message cannot be sent.
    Invalid(Status),
}

/// Takes a record back that was not finished, also when a message's encoding panics.
struct Unfinished<'a> {
    records: &'a mut BytesMut,
    len: usize,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.records.truncate(self.len);
    }
}

impl State {
    fn has_room(&self, limit: usize) -> bool {
        self.queued < limit
    }

    fn check(&self, limit: usize, len: usize) -> Result<(), Refused> {
        if self.closed || self.end.is_some() {
            return Err(Refused::Closed);
        }
        if !self.has_room(limit) {
            return Err(Refused::Full);
        }
        let largest = self.callee.as_ref().and_then(|callee| callee.max_message);
        if let Some(largest) = largest.filter(|largest| len > *largest) {
            return Err(Refused::Invalid(Status::resource_exhausted(format!(
                "the message has {len} bytes and the receiver accepts {largest} (setting: the receiver's max_message)"
            ))));
        }
        Ok(())
    }

    /// Writes a small message as a record.
    fn append(&mut self, message: &impl Message, len: usize) -> Result<(), Status> {
        let cost = len + MESSAGE_COST;
        if self.records_cost + cost > PIECE {
            self.seal();
        }
        let header = encode_header(RecordKind::MESSAGE, len as u64);
        let size = header.len() + len;
        if self.records.capacity() - self.records.len() < size && !self.records.try_reclaim(size) {
            if self.records.is_empty() {
                let expected = self.expected.clamp(SMALLEST_BUFFER, LARGEST_BUFFER);
                self.records = BytesMut::with_capacity(expected.max(size));
            } else {
                self.records.reserve(size);
            }
        }
        let before = self.records.len();
        let record = Unfinished {
            records: &mut self.records,
            len: before,
        };
        record.records.extend_from_slice(&header);
        message
            .encode(record.records)
            .map_err(|error| Status::internal(format!("the message cannot be encoded: {error}")))?;
        // A hand-written message may not keep its word; a wrong length would spoil the records after it.
        if record.records.len() != before + size {
            return Err(Status::internal(
                "the message's encoding has another length than it announced",
            ));
        }
        std::mem::forget(record);
        self.records_cost += cost;
        self.queued += cost;
        self.spoken = true;
        Ok(())
    }

    /// The records written so far are a batch of their own.
    fn seal(&mut self) {
        if let Some(batch) = self.take_records() {
            self.ready.push_back(batch);
        }
    }

    fn take_records(&mut self) -> Option<Batch> {
        if self.records.is_empty() {
            return None;
        }
        self.expected = 2 * self.records.len();
        Some(Batch::Records {
            records: self.records.split().freeze(),
            cost: std::mem::take(&mut self.records_cost),
            compression: self.compression,
        })
    }

    fn take(&mut self) -> Option<Batch> {
        let batch = self.ready.pop_front().or_else(|| self.take_records())?;
        self.queued = self.queued.saturating_sub(batch.cost());
        Some(batch)
    }

    /// Everybody who waits for anything.
    fn everybody(&mut self) -> Vec<Waker> {
        let mut all = std::mem::take(&mut self.senders);
        all.append(&mut self.watchers);
        all.extend(self.taker.take());
        all
    }
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            limit,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message in.
    pub(crate) fn push(&self, message: &impl Message) -> Result<(), Refused> {
        let len = message.encoded_len();
        if len + MESSAGE_COST > PIECE {
            return self.push_large(message, len);
        }
        let mut state = self.lock();
        state.check(self.limit, len)?;
        state.append(message, len).map_err(Refused::Invalid)?;
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        Ok(())
    }

    /// A large message has memory of its own, and is encoded without the lock.
    fn push_large(&self, message: &impl Message, len: usize) -> Result<(), Refused> {
        self.lock().check(self.limit, len)?;
        let message = MessageBytes::encode(message).map_err(Refused::Invalid)?;
        let mut state = self.lock();
        state.check(self.limit, len)?;
        state.seal();
        state.queued += len + MESSAGE_COST;
        let compression = state.compression;
        state.ready.push_back(Batch::Message(message, compression));
        state.spoken = true;
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        Ok(())
    }

    /// Ready when there may be room, or will never be. Lets a method that runs in this process go on.
    pub(crate) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let drive = |state: &State| {
            let callee = state.callee.as_ref()?;
            callee.drive.as_ref()?.upgrade()
        };
        if !state.has_room(self.limit)
            && !state.closed
            && let Some(drive) = drive(&state)
        {
            drop(state);
            drive.drive(context);
            state = self.lock();
        }
        if state.closed || state.end.is_some() || state.has_room(self.limit) {
            return Poll::Ready(());
        }
        register(&mut state.senders, context.waker());
        Poll::Pending
    }

    /// Ready when nobody takes messages any more.
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(());
        }
        register(&mut state.watchers, context.waker());
        Poll::Pending
    }

    /// Ready when the callee has said that the call has begun, or will never say so.
    pub(crate) fn poll_begun(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.callee.is_some() || state.closed {
            return Poll::Ready(());
        }
        register(&mut state.watchers, context.waker());
        Poll::Pending
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether the sending side has said something: metadata or a message. If not, wakes `waker` when it does.
    pub(crate) fn has_spoken(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        if !state.spoken {
            keep(&mut state.taker, waker);
        }
        state.spoken
    }

    /// Sets what travels ahead of the first message. False: something has been said already.
    pub(crate) fn set_metadata(&self, metadata: Metadata) -> bool {
        let mut state = self.lock();
        if state.spoken {
            return false;
        }
        state.spoken = true;
        state.metadata = metadata;
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        true
    }

    /// Sets whether messages taken in from now on are to be compressed on their way.
    pub(crate) fn set_compression(&self, compression: Compression) {
        let mut state = self.lock();
        if state.compression != compression {
            state.seal();
            state.compression = compression;
        }
    }

    pub(crate) fn set_trailers(&self, trailers: Metadata) {
        self.lock().trailers = trailers;
    }

    pub(crate) fn take_metadata(&self) -> Metadata {
        std::mem::take(&mut self.lock().metadata)
    }

    /// Whether there is something to say after the last message.
    pub(crate) fn has_trailers(&self) -> bool {
        !self.lock().trailers.is_empty()
    }

    pub(crate) fn take_trailers(&self) -> Metadata {
        std::mem::take(&mut self.lock().trailers)
    }

    /// No further message comes.
    pub(crate) fn finish(&self) {
        self.end(End::Finished);
    }

    /// The sender is gone before it had finished.
    pub(crate) fn cancel(&self) {
        self.end(End::Cancelled);
        let callee = self.lock().callee.clone();
        if let Some(drive) = callee.and_then(|callee| callee.drive?.upgrade()) {
            drive.cancel();
        }
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        let waiting = state.everybody();
        drop(state);
        wake(waiting);
    }

    /// Nobody takes messages any more. What waits is dropped.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = state.everybody();
        let left = (
            std::mem::take(&mut state.ready),
            std::mem::take(&mut state.records),
        );
        state.queued = 0;
        drop(state);
        drop(left);
        wake(waiting);
    }

    /// Takes what is there, for a taker that polls the sender before it waits: a sender in its own task, which is
    /// `waker`'s, is not woken.
    pub(crate) fn take(&self, waker: &Waker) -> Option<Batch> {
        let mut state = self.lock();
        let batch = state.take()?;
        self.made_room(state, Some(waker));
        Some(batch)
    }

    /// Takes what is there. If there is nothing, wakes `waker` at the next message, at the end, and when metadata is
    /// set.
    pub(crate) fn take_or_wait(&self, waker: &Waker) -> Option<Batch> {
        let mut state = self.lock();
        let Some(batch) = state.take() else {
            keep(&mut state.taker, waker);
            return None;
        };
        self.made_room(state, Some(waker));
        Some(batch)
    }

    /// The taker is about to poll the sender and looks again afterwards: it need not be woken meanwhile.
    pub(crate) fn watched(&self) {
        self.lock().taker = None;
    }

    /// Whether nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().queued == 0
    }

    fn made_room(&self, mut state: MutexGuard<'_, State>, polls: Option<&Waker>) {
        // Not for every batch: a sender that is woken should find room for many messages.
        if !state.senders.is_empty() && state.queued <= self.limit / 2 {
            let mut senders = std::mem::take(&mut state.senders);
            drop(state);
            if let Some(own) = polls {
                // A task that wakes itself makes the runtime wake an idle thread.
                senders.retain(|sender| !sender.will_wake(own));
            }
            wake(senders);
        }
    }

    /// Whether nothing waits and nothing will come.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.lock();
        state.end == Some(End::Finished) && state.queued == 0
    }

    fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Result<Batch, Status>>> {
        let mut state = self.lock();
        if state.callee.is_none() {
            // Whoever asks for messages has begun, even if it did not say so.
            state.callee = Some(Callee::default());
            let watchers = std::mem::take(&mut state.watchers);
            drop(state);
            wake(watchers);
            state = self.lock();
        }
        // A call that was given up does not get what was sent before, and what is left must not look complete.
        if state.end == Some(End::Cancelled) || state.closed {
            return Poll::Ready(Some(Err(cancelled())));
        }
        if let Some(batch) = state.take() {
            self.made_room(state, None);
            return Poll::Ready(Some(Ok(batch)));
        }
        if state.end.is_some() {
            return Poll::Ready(None);
        }
        keep(&mut state.taker, context.waker());
        Poll::Pending
    }

    fn begin(&self, callee: Callee) {
        let mut state = self.lock();
        let drive = callee.drive.clone();
        state.callee = Some(callee);
        let watchers = std::mem::take(&mut state.watchers);
        let cancelled = state.end == Some(End::Cancelled);
        drop(state);
        wake(watchers);
        if cancelled && let Some(drive) = drive.and_then(|drive| drive.upgrade()) {
            drive.cancel();
        }
    }
}

/// What a call gets whose caller has given it up.
pub(crate) fn cancelled() -> Status {
    Status::cancelled("the caller gave the call up")
}

fn keep(kept: &mut Option<Waker>, waker: &Waker) {
    match kept {
        Some(kept) => kept.clone_from(waker),
        None => *kept = Some(waker.clone()),
    }
}

fn register(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|kept| kept.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

fn wake(waiting: Vec<Waker>) {
    for waker in waiting {
        waker.wake();
    }
}

/// The side of a caller that waits for the response. Dropping it closes the queue: from then on nothing that its
/// sender says is taken, whenever the task that sends the requests learns of it.
pub(crate) struct Answered(Arc<Queue>);

impl Answered {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The taking end of a queue, as the body of a request. Dropping it closes the queue.
pub(crate) struct QueueStream {
    queue: Arc<Queue>,
}

impl QueueStream {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }
}

impl BodyStream for QueueStream {
    fn poll_records(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        self.queue.poll_take(context)
    }

    fn is_over(&self) -> bool {
        self.queue.is_over()
    }

    fn begun(self: Pin<&mut Self>, callee: Callee) {
        self.queue.begin(callee);
    }
}

impl Drop for QueueStream {
    fn drop(&mut self) {
        self.queue.close();
    }
}
