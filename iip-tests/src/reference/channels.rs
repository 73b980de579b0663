use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::counters::Counters;
use super::frame::{Frame, Sender, Sequence};
use super::reader::FrameReader;
use super::server::{Call, Shared, lock};
use super::system;
use super::url::{Url, parse};
use super::writer::{Outgoing, write_all};

/// Frames that wait for a channel's handler. When they are so many, the whole connection is not read.
pub(super) const QUEUE: usize = 100;

/// A channel as the reading side knows it.
pub(super) struct Channel {
    queue: mpsc::Sender<Frame>,
    sequence: Sequence,
    pub(super) count: Arc<Counters>,
    outstanding: Arc<AtomicUsize>,
}

impl Channel {
    pub(super) fn waiting(&self) -> usize {
        QUEUE - self.queue.capacity()
    }
}

/// The numbers in use, and those given back.
pub(super) struct Channels {
    pub(super) open: HashMap<u32, Channel>,
    free: Vec<u32>,
    highest: u32,
    tasks: JoinSet<()>,
}

/// One connection of a server.
pub(super) struct Connection {
    pub(super) server: Arc<Shared>,
    pub(super) channels: Mutex<Channels>,
    pub(super) outgoing: Outgoing,
    pub(super) count: Counters,
    outstanding: AtomicUsize,
}

impl Connection {
    pub(super) fn new(server: Arc<Shared>) -> (Arc<Self>, mpsc::Receiver<Frame>) {
        let (outgoing, frames) = Outgoing::new();
        let connection = Arc::new(Self {
            server,
            channels: Mutex::new(Channels {
                open: HashMap::new(),
                free: Vec::new(),
                highest: 0,
                tasks: JoinSet::new(),
            }),
            outgoing,
            count: Counters::default(),
            outstanding: AtomicUsize::new(0),
        });
        connection.open(0);
        (connection, frames)
    }

    pub(super) fn lost(&self) -> usize {
        self.outgoing.lost()
    }

    fn open(self: &Arc<Self>, id: u32) {
        let (queue, frames) = mpsc::channel(QUEUE);
        let channel = Channel {
            queue,
            sequence: Sequence::START,
            count: Arc::default(),
            outstanding: Arc::default(),
        };
        let worker = Worker {
            connection: Arc::clone(self),
            id,
            count: Arc::clone(&channel.count),
            outstanding: Arc::clone(&channel.outstanding),
        };
        let mut channels = lock(&self.channels);
        channels.tasks.spawn(worker.run(frames));
        channels.open.insert(id, channel);
    }

    /// A number for one more channel: one that was given back before a new one. Channel 0, once deleted, is such a
    /// number too.
    pub(super) fn grant(self: &Arc<Self>) -> Option<u32> {
        let id = {
            let mut channels = lock(&self.channels);
            if channels.open.len() > self.server.channel_limit {
                return None;
            }
            channels.free.pop().unwrap_or_else(|| {
                channels.highest += 1;
                channels.highest
            })
        };
        self.open(id);
        Some(id)
    }

    fn delete(&self, id: u32) {
        let mut channels = lock(&self.channels);
        if channels.open.remove(&id).is_some() {
            channels.free.push(id);
        }
    }

    /// Reads, writes and handles until one of the three fails. What waits to be written is dropped then, also if the
    /// client has merely ended its own direction.
    pub(super) async fn run(
        self: Arc<Self>,
        io: impl AsyncRead + AsyncWrite + Send,
        frames: mpsc::Receiver<Frame>,
    ) -> String {
        let (input, output) = split(io);
        let why = {
            let mut reading = pin!(self.read_all(FrameReader::new(input)));
            let mut writing = pin!(write_all(output, frames));
            tokio::select! {
                why = &mut reading => why,
                why = &mut writing => why,
            }
        };
        let mut tasks = {
            let mut channels = lock(&self.channels);
            channels.open.clear();
            std::mem::take(&mut channels.tasks)
        };
        tasks.abort_all();
        why
    }

    async fn read_all(&self, mut input: FrameReader<impl AsyncRead + Unpin>) -> String {
        loop {
            match self.read_one(&mut input).await {
                Ok(()) => {}
                Err(why) => return why,
            }
        }
    }

    async fn read_one(
        &self,
        input: &mut FrameReader<impl AsyncRead + Unpin>,
    ) -> Result<(), String> {
        let head = input.head().await?;
        {
            let mut channels = lock(&self.channels);
            let channel = channels.open.get_mut(&head.channel);
            let channel = channel.ok_or_else(|| format!("invalid channel id: {}", head.channel))?;
            channel.sequence.advance(head.kind, Sender::Client)?;
        }
        let data = input.data().await?;
        let frame = Frame::new(head.kind, head.path, head.channel, data);
        let queue = {
            let channels = lock(&self.channels);
            // Deleted meanwhile: swallowed.
            let Some(channel) = channels.open.get(&frame.channel) else {
                return Ok(());
            };
            channel.count.received(&frame);
            self.observe(&frame, channel);
            channel.queue.clone()
        };
        let _ = queue.send(frame).await;
        Ok(())
    }

    fn observe(&self, frame: &Frame, channel: &Channel) {
        let on_channel = channel.outstanding.fetch_add(1, Ordering::Relaxed) + 1;
        let on_connection = self.outstanding.fetch_add(1, Ordering::Relaxed) + 1;
        let mut observed = lock(&self.server.observed);
        if frame.channel > 0 {
            observed.most_on_channel = observed.most_on_channel.max(on_channel);
        }
        observed.most_on_connection = observed.most_on_connection.max(on_connection);
        if !(frame.is_first() && frame.is_last()) {
            observed.partial_frames += 1;
        }
        let path = String::from_utf8_lossy(&frame.path).into_owned();
        *observed.calls.entry(path).or_default() += 1;
    }
}

/// A request of which frames arrive.
#[derive(Default)]
struct Request {
    url: Url,
    data: Vec<u8>,
}

/// Handles the frames of one channel, one at a time.
struct Worker {
    connection: Arc<Connection>,
    id: u32,
    count: Arc<Counters>,
    outstanding: Arc<AtomicUsize>,
}

impl Worker {
    async fn run(self, mut frames: mpsc::Receiver<Frame>) {
        let mut request = Request::default();
        while let Some(frame) = frames.recv().await {
            let completed = frame.is_last();
            // The answer to a first frame carries the decoded path, those to later ones the path as it came.
            let answer_path;
            if frame.is_first() {
                let raw = || Url {
                    path: frame.path.clone(),
                    query: Vec::new(),
                };
                request.url = parse(&frame.path).unwrap_or_else(raw);
                request.data = frame.data;
                answer_path = request.url.path.clone();
            } else {
                request.data.extend_from_slice(&frame.data);
                answer_path = frame.path;
            }
            let call = Call {
                url: request.url.clone(),
                data: match completed {
                    true => std::mem::take(&mut request.data),
                    false => request.data.clone(),
                },
                completed,
            };
            if call.url.path == system::DELETE_CHANNEL {
                // Closed first: the answer cannot be sent any more.
                self.connection.delete(self.id);
                return;
            }
            let data = self.answer(call).await;
            self.outstanding.fetch_sub(1, Ordering::Relaxed);
            self.connection.outstanding.fetch_sub(1, Ordering::Relaxed);
            self.send(Frame::new(5, answer_path, self.id, data)).await;
        }
    }

    async fn answer(&self, call: Call) -> Vec<u8> {
        let server = &self.connection.server;
        let (path, completed) = (call.url.path.clone(), call.completed);
        let began = Instant::now();
        let answer = match server.routes.get(&path) {
            None => system::answer(&self.connection, &path, &call.data),
            Some(route) => {
                // In a task of its own, for its panic to end nothing else.
                let handling = tokio::spawn((route.handle)(call)).await;
                system::encode(handling.unwrap_or(Ok(Vec::new())))
            }
        };
        if completed {
            self.count.handled();
            self.connection.count.handled();
            server.statistics.count.handled();
            let since_start = began.duration_since(server.started);
            server.statistics.measure.add(since_start, began.elapsed());
            if let Some(route) = server.routes.get(&path) {
                route.statistics.count.handled();
                route.statistics.measure.add(since_start, began.elapsed());
            }
        }
        answer
    }

    async fn send(&self, frame: Frame) {
        let server = &self.connection.server;
        self.count.sent(&frame);
        self.connection.count.sent(&frame);
        server.statistics.count.sent(&frame);
        if let Some(route) = server.routes.get(&frame.path) {
            route.statistics.count.sent(&frame);
        }
        self.connection.outgoing.send(frame).await;
    }
}
