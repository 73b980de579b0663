use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::frame::{Frame, Sender, Sequence};
use super::reader::FrameReader;
use super::replies::Reply;
use super::socket::{lookup, socket};
use super::url::parse;
use super::writer::{Outgoing, write_all};

/// How long a request waits that says nothing else.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long a request for a channel waits.
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(1);

/// Called for every frame of a response on a path, with what has arrived of it and whether that is all.
type PathHandler = Arc<dyn Fn(&[u8], bool) + Send + Sync>;

/// A channel as the client numbers it, whatever the server granted.
struct Local {
    sequence: Sequence,
    /// Of the response that arrives.
    data: Vec<u8>,
    /// Who waits for a response, in the order of the requests; also those who do not wait any more.
    waiting: VecDeque<oneshot::Sender<Vec<u8>>>,
}

impl Local {
    fn new() -> Self {
        Self {
            sequence: Sequence::START,
            data: Vec::new(),
            waiting: VecDeque::new(),
        }
    }
}

struct State {
    channels: HashMap<u32, Local>,
    free: Vec<u32>,
    highest: u32,
    handlers: HashMap<Vec<u8>, PathHandler>,
}

struct Shared {
    state: Mutex<State>,
    /// Requests are queued in the order in which they wait.
    order: tokio::sync::Mutex<()>,
    outgoing: Outgoing,
    ended: watch::Sender<Option<String>>,
}

/// A client's connection.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// A connection to a server that listens on a TCP address.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub async fn connect(address: &str) -> std::io::Result<Self> {
        let address = lookup(address).await?;
        Ok(Self::over(socket(address)?.connect(address).await?))
    }

    /// A connection over any byte pipe. Runs inside a tokio runtime.
    pub fn over(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (outgoing, frames) = Outgoing::new();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                channels: HashMap::from([(0, Local::new())]),
                free: Vec::new(),
                highest: 0,
                handlers: HashMap::new(),
            }),
            order: tokio::sync::Mutex::new(()),
            outgoing,
            ended: watch::Sender::new(None),
        });
        tokio::spawn(run(Arc::clone(&shared), io, frames));
        Self { shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Opens a channel. Its number is the client's own: one that was closed before, or the next.
    ///
    /// # Errors
    ///
    /// The server's refusal, or that it did not answer within a second.
    pub async fn new_channel(&self) -> Result<Channel, String> {
        let zero = Channel {
            id: 0,
            client: self.clone(),
        };
        let answer = zero
            .request("/sys/new_channel", "{}", CHANNEL_TIMEOUT)
            .await?;
        let reply: Reply =
            serde_json::from_slice(&answer).map_err(|error| format!("{error}: {answer:?}"))?;
        if reply.code != 0 || reply.channel_id == 0 {
            return Err(reply.message);
        }
        let mut state = self.state();
        let id = state.free.pop().unwrap_or_else(|| {
            state.highest += 1;
            state.highest
        });
        state.channels.insert(id, Local::new());
        Ok(Channel {
            id,
            client: self.clone(),
        })
    }

    /// The channel that is there from the start.
    pub fn channel_zero(&self) -> Channel {
        Channel {
            id: 0,
            client: self.clone(),
        }
    }

    /// Calls `handler` for every frame of responses with this path, beside whoever waits for them.
    pub fn on_path(&self, path: &str, handler: impl Fn(&[u8], bool) + Send + Sync + 'static) {
        self.state().handlers.insert(path.into(), Arc::new(handler));
    }

    /// Waits until the connection has ended: why it did.
    pub async fn ended(&self) -> String {
        let mut ended = self.shared.ended.subscribe();
        let why = ended.wait_for(Option::is_some).await;
        why.ok()
            .and_then(|why| why.clone())
            .unwrap_or_else(|| "gone".into())
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.ended.borrow().is_some()
    }

    /// Closes the connection. Whoever waits for a response goes on waiting.
    pub fn close(&self) {
        self.shared.end("closed".into());
    }

    /// Requests that found the queue to the socket full for a second, and were lost.
    pub fn lost(&self) -> usize {
        self.shared.outgoing.lost()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: String) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(why);
            }
            first
        });
    }

    /// Takes a frame's data, all checks passed.
    fn receive(&self, frame: Frame) {
        let mut state = self.state();
        if frame.path == b"/sys/delete_channel" {
            state.channels.remove(&frame.channel);
            return;
        }
        let handler = state.handlers.get(&frame.path).cloned();
        let Some(channel) = state.channels.get_mut(&frame.channel) else {
            return;
        };
        let completed = frame.is_last();
        channel.data.extend_from_slice(&frame.data);
        if let Some(handler) = handler {
            handler(&channel.data, completed);
        }
        if completed {
            let data = std::mem::take(&mut channel.data);
            match channel.waiting.pop_front() {
                // Perhaps nobody waits any more: a late answer is dropped.
                Some(waiting) => drop(waiting.send(data)),
                // "request not found": the channel is closed, and the next frame on it ends the connection.
                None => drop(state.channels.remove(&frame.channel)),
            }
        }
    }

    async fn read_one(
        &self,
        input: &mut FrameReader<impl AsyncRead + Unpin>,
    ) -> Result<(), String> {
        let head = input.head().await?;
        {
            let mut state = self.state();
            let channel = state.channels.get_mut(&head.channel);
            let channel = channel.ok_or_else(|| format!("invalid channel id: {}", head.channel))?;
            channel.sequence.advance(head.kind, Sender::Server)?;
        }
        let data = input.data().await?;
        self.receive(Frame::new(head.kind, head.path, head.channel, data));
        Ok(())
    }

    async fn read_all(&self, mut input: FrameReader<impl AsyncRead + Unpin>) -> String {
        loop {
            match self.read_one(&mut input).await {
                Ok(()) => {}
                Err(why) => return why,
            }
        }
    }
}

async fn run(
    shared: Arc<Shared>,
    io: impl AsyncRead + AsyncWrite + Send,
    frames: mpsc::Receiver<Frame>,
) {
    let (input, output) = split(io);
    let mut ended = shared.ended.subscribe();
    let reading = pin!(shared.read_all(FrameReader::new(input)));
    let writing = pin!(write_all(output, frames));
    let why = tokio::select! {
        why = reading => why,
        why = writing => why,
        _ = ended.wait_for(Option::is_some) => "closed".into(),
    };
    shared.end(why);
}

/// A channel of a client's connection. Several callers may use it at the same time: their requests queue.
#[derive(Clone)]
pub struct Channel {
    id: u32,
    client: Client,
}

impl Channel {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Makes a request and waits for its response, three seconds if `limit` is zero. Data that a server sends as an
    /// error is a response like any other.
    ///
    /// # Errors
    ///
    /// `request timeout`, also if the connection is lost meanwhile: nobody is told of that. Or the connection was lost
    /// before, or the path is none.
    pub async fn request(
        &self,
        path: &str,
        data: impl Into<Vec<u8>>,
        limit: Duration,
    ) -> Result<Vec<u8>, String> {
        let response = self.begin(path, data).await?;
        let limit = if limit.is_zero() { TIMEOUT } else { limit };
        match timeout(limit, response).await {
            Ok(Ok(data)) => Ok(data),
            // Its channel was closed here: nothing ever comes.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => Err("request timeout".into()),
        }
    }

    async fn begin(
        &self,
        path: &str,
        data: impl Into<Vec<u8>>,
    ) -> Result<oneshot::Receiver<Vec<u8>>, String> {
        let shared = &self.client.shared;
        if self.client.is_closed() {
            return Err("connection closed".into());
        }
        parse(path.as_bytes()).ok_or("invalid path")?;
        let frame = Frame::new(1, path, self.id, data);
        let _order = shared.order.lock().await;
        let response = {
            let mut state = shared.state();
            let channel = state.channels.get_mut(&self.id);
            let channel = channel.ok_or("channel closed")?;
            let (waiting, response) = oneshot::channel();
            channel.waiting.push_back(waiting);
            response
        };
        shared.outgoing.send(frame).await;
        Ok(response)
    }

    /// Gives the number back. The server does not learn of it.
    pub fn close(&self) {
        let mut state = self.client.state();
        if state.channels.remove(&self.id).is_some() {
            state.free.push(self.id);
        }
    }
}
