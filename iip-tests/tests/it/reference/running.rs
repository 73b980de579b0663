//! Emulated peers that run beside a test.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iip_core::server::Listener;
use iip_core::transport::{Address, Stream, TcpOptions, connect, memory_listener};
use iip_rpc::server::ServerBuilder;
use iip_rpc::{iip_core, tokio};
use iip_tests::reference::{Channel, Client, Frame, FrameReader, Server};
use tokio::io::{AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};

/// Longer than any test takes on the slowest machine: what waits for longer waits for ever.
const FOREVER: Duration = Duration::from_secs(60);

/// Awaits what has to come. Fails, instead of hanging, if it does not.
pub(crate) async fn limited<T>(what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(FOREVER, what).await {
        Ok(value) => value,
        Err(_) => panic!("this never ends"),
    }
}

/// Waits until something that happens elsewhere is true.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let waiting = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(FOREVER, waiting).await.is_err() {
        panic!("{what}: never");
    }
}

/// One end of a pipe, which says what a test tells it to.
pub(crate) struct Peer {
    input: FrameReader<ReadHalf<DuplexStream>>,
    output: WriteHalf<DuplexStream>,
}

impl Peer {
    /// Both ends of a pipe.
    pub(crate) fn pair() -> (Self, DuplexStream) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(near);
        let input = FrameReader::new(input);
        (Self { input, output }, far)
    }

    /// The near end of a pipe in memory.
    pub(crate) fn of(io: Stream) -> Self {
        let Stream::Memory(io) = io else {
            panic!("no pipe in memory");
        };
        let (input, output) = tokio::io::split(io);
        let input = FrameReader::new(input);
        Self { input, output }
    }

    /// A client of an emulated server.
    pub(crate) fn client_of(server: &Server) -> Self {
        let (peer, io) = Self::pair();
        let server = server.clone();
        tokio::spawn(async move { server.serve_connection(io).await });
        peer
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        limited(self.output.write_all(bytes.as_ref()))
            .await
            .expect("an open connection");
    }

    /// Sends what the other side may refuse to take.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = limited(self.output.write_all(bytes.as_ref())).await;
    }

    pub(crate) async fn send_frame(&mut self, kind: u8, path: &str, channel: u32, data: &str) {
        self.send(Frame::new(kind, path, channel, data).to_bytes())
            .await;
    }

    /// Ends this direction.
    pub(crate) async fn finish(&mut self) {
        limited(self.output.shutdown())
            .await
            .expect("an open connection");
    }

    /// The next frame, or why there is none.
    pub(crate) async fn next(&mut self) -> Result<Frame, String> {
        limited(self.input.next()).await
    }

    pub(crate) async fn expect(&mut self) -> Frame {
        self.next().await.expect("a frame before the end")
    }

    /// One request of one frame, and the text of its answer.
    pub(crate) async fn call(&mut self, path: &str, channel: u32, data: &str) -> String {
        self.send_frame(1, path, channel, data).await;
        let answer = self.expect().await;
        assert_eq!((answer.kind, answer.channel), (5, channel));
        text(&answer)
    }

    /// Opens channels, of which these are to be the numbers.
    pub(crate) async fn open_channels(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            let answer = self.call("/sys/new_channel", 0, "{}").await;
            assert_eq!(answer, format!("{{\"code\":0,\"channel_id\":{number}}}"));
        }
    }
}

pub(crate) fn text(frame: &Frame) -> String {
    String::from_utf8_lossy(&frame.data).into_owned()
}

/// A server of this project, reached through memory.
pub(crate) struct Ours {
    address: Address,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// A name in memory that no other test has.
fn unused_name() -> String {
    static USED: AtomicUsize = AtomicUsize::new(0);
    format!(
        "memory://reference-{}",
        USED.fetch_add(1, Ordering::Relaxed)
    )
}

impl Ours {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        Self::start_on(builder, &unused_name()).await
    }

    /// Waits until the address is free.
    pub(crate) async fn start_on(builder: ServerBuilder, address: &str) -> Self {
        let listener = async {
            loop {
                let address = address.parse().expect("an address");
                if let Ok(listener) = Listener::bind(&address, &TcpOptions::default()).await {
                    return listener;
                }
                tokio::task::yield_now().await;
            }
        };
        let server = builder.listener(limited(listener).await).build();
        let server = server.expect("a server");
        let address = server.local_addr().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let signal = async {
                // Also when the test has ended.
                let _ = stopped.await;
            };
            let report = server.serve_with_shutdown(signal, FOREVER).await;
            assert_eq!(report.expect("a server that serves").cut_calls, 0);
        });
        Self {
            address,
            stop: Some(stop),
            serving,
        }
    }

    pub(crate) async fn io(&self) -> Stream {
        let options = TcpOptions::default();
        let connected = connect(&self.address, FOREVER, &options).await;
        connected.expect("a connection").0
    }

    /// An emulated client.
    pub(crate) async fn client(&self) -> Client {
        Client::over(self.io().await)
    }

    /// An emulated client's channel.
    pub(crate) async fn channel(&self) -> Channel {
        self.client().await.new_channel().await.expect("a channel")
    }

    /// Begins to stop.
    pub(crate) fn stop(&mut self) {
        let stop = self.stop.take().expect("a server that runs");
        stop.send(()).expect("a server that runs");
    }

    pub(crate) async fn stopped(self) {
        limited(self.serving).await.expect("no panic");
    }
}

/// An emulated server that answers on `/echo`.
pub(crate) fn echo() -> Server {
    Server::new().handle("/echo", |call| async { Ok(call.data) })
}

/// An echo server whose `/held` answers when it is let.
pub(crate) fn held() -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let pass = Arc::clone(&gate);
    let server = echo().handle("/held", move |call| {
        let pass = Arc::clone(&pass);
        async move {
            pass.acquire().await.expect("a gate").forget();
            Ok(call.data)
        }
    });
    (server, gate)
}

/// An emulated server, reached through memory.
pub(crate) struct Emulated {
    pub(crate) server: Server,
    pub(crate) address: Address,
    accepting: JoinHandle<()>,
}

impl Emulated {
    pub(crate) fn start(server: Server) -> Self {
        let (mut listener, _) = memory_listener();
        let address = listener.address();
        let accepting = server.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let io = listener.accept().await;
                let server = accepting.clone();
                connections.spawn(async move { server.serve_connection(io).await });
            }
        });
        Self {
            server,
            address,
            accepting,
        }
    }

    /// Our client, which learns what its server is.
    pub(crate) async fn raw(&self) -> iip_core::client::Client {
        let builder = iip_core::client::Client::builder(self.address.clone());
        limited(builder.connect()).await.expect("a connection")
    }

    /// The same for typed calls.
    pub(crate) async fn typed(&self) -> iip_rpc::Channel {
        let channel = iip_rpc::Channel::connect(self.address.to_string());
        limited(channel).await.expect("a connection")
    }

    /// Ends every connection, and takes no more.
    pub(crate) fn kill(&self) {
        self.accepting.abort();
    }
}
