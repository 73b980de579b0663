use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frame::Frame;

/// Frames that wait for the socket.
const QUEUE: usize = 100;

/// How long a sender waits for a place in the queue. Afterwards its frame is lost, and nobody is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the socket may take for one frame.
const DEADLINE: Duration = Duration::from_secs(3);

/// The sending direction of a connection.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    queue: mpsc::Sender<Frame>,
    lost: Arc<AtomicUsize>,
}

impl Outgoing {
    pub(super) fn new() -> (Self, mpsc::Receiver<Frame>) {
        let (queue, frames) = mpsc::channel(QUEUE);
        let lost = Arc::default();
        (Self { queue, lost }, frames)
    }

    /// Queues a frame, or loses it.
    pub(super) async fn send(&self, frame: Frame) {
        if timeout(PATIENCE, self.queue.send(frame)).await.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frames that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Frames lost so far.
    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Writes frames, one at a time, until one cannot be written: why.
pub(super) async fn write_all(
    mut output: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
) -> String {
    while let Some(frame) = frames.recv().await {
        let bytes = match frame.encode() {
            Ok(bytes) => bytes,
            Err(refused) => return refused,
        };
        match timeout(DEADLINE, output.write_all(&bytes)).await {
            Err(_) => return "a frame was not taken within 3 s".into(),
            Ok(Err(error)) => return error.to_string(),
            Ok(Ok(())) => {}
        }
    }
    "nobody sends any more".into()
}
