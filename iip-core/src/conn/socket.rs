use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use crate::session::{MAX_CHUNK, Output, Sink};
use crate::transport::{Io, acknowledge_at_once};

/// Size of the first read buffer. Small, because most connections of a large server are idle; it doubles whenever a
/// read fills it.
const MIN_READ: usize = 2 * 1024;

/// Largest read buffer between large frames. Beyond this a read costs more in cache misses than it saves in calls.
const MAX_READ: usize = 64 * 1024;

/// How much of a large frame is made room for at a time: memory follows what arrives, not what was announced.
const MAX_STEP: usize = 64 * 1024;

/// Most parts written in one call: what is handed out at a time seldom has more.
const MAX_PARTS: usize = 64;

/// Output buffers larger than this are given back when they are empty.
const MAX_KEPT: usize = 256 * 1024;

/// A byte pipe with its buffers.
#[derive(Debug)]
pub(super) struct Socket<T> {
    io: T,
    pub(super) input: BytesMut,
    read_size: usize,
    /// A frame is arriving that is larger than those of native peers.
    in_large_frame: bool,
    pub(super) output: Output,
    /// Since when the peer has not accepted a byte.
    blocked_since: Option<Instant>,
}

impl<T: Io> Socket<T> {
    pub(super) fn new(io: T) -> Self {
        let output = Output::new(io.is_write_vectored());
        Self {
            io,
            input: BytesMut::new(),
            read_size: MIN_READ,
            in_large_frame: false,
            output,
            blocked_since: None,
        }
    }

    /// Reads once, making room for `missing` bytes of a frame that is known to be arriving. 0: the peer has finished.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        missing: usize,
    ) -> Poll<io::Result<usize>> {
        let spare = self.input.capacity() - self.input.len();
        let wanted = missing.min(MAX_STEP.max(self.input.len()));
        if spare < wanted.max(self.read_size / 4) {
            self.input.reserve(wanted.max(self.read_size));
        }
        let spare = self.input.capacity() - self.input.len();
        let count = ready!(pin!(self.io.read_buf(&mut self.input)).poll(cx))?;
        if count == spare && self.read_size < MAX_READ {
            self.read_size *= 2;
        }
        self.in_large_frame = missing > MAX_CHUNK || (self.in_large_frame && missing > 0);
        if self.in_large_frame && count < missing {
            acknowledge_at_once(&self.io);
        }
        Poll::Ready(Ok(count))
    }

    /// Whether bytes wait to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Writes once. The count is what the socket accepted.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut self.io);
        let polled = match self.output.whole() {
            Some(bytes) => io.poll_write(cx, bytes),
            None => {
                let mut slices = [IoSlice::new(&[]); MAX_PARTS];
                let count = self.output.parts(&mut slices);
                io.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
            }
        };
        let Poll::Ready(result) = polled else {
            if self.blocked_since.is_none() {
                self.blocked_since = Some(now());
            }
            return Poll::Pending;
        };
        self.blocked_since = None;
        match result? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => {
                self.output.advance(count);
                self.output.shrink(MAX_KEPT);
                Poll::Ready(Ok(count))
            }
        }
    }

    /// When the peer has accepted no byte for `limit`.
    pub(super) fn stalls_at(&self, limit: Duration) -> Option<Instant> {
        self.blocked_since.map(|since| since + limit)
    }

    /// Gives back memory that a burst needed.
    pub(super) fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.read_size = MIN_READ;
        }
        self.output.shrink(0);
    }

    /// Says that nothing more is sent, and reads what still comes, so that closing does not destroy what the peer has
    /// not read yet: a socket closed with unread input resets the connection.
    pub(super) async fn linger(mut self, limit: Duration) {
        let _ = tokio::time::timeout(limit, async {
            use tokio::io::AsyncWriteExt;
            self.io.shutdown().await?;
            // On the heap: an array would be a part of every open connection's future.
            let mut waste = vec![0u8; 1024];
            while self.io.read(&mut waste).await? > 0 {}
            io::Result::Ok(())
        })
        .await;
    }

    /// Closes at once.
    pub(super) async fn shutdown(mut self) {
        use tokio::io::AsyncWriteExt;
        let _ = self.io.shutdown().await;
    }
}
