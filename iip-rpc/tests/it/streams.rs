//! A service with methods of all four kinds, and the ways to call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use iip_rpc::codegen::{
    Idempotency, MethodDescriptor, MethodKind, Methods, NamedService, bidi_streaming,
    client_streaming, server_streaming, unary,
};
use iip_rpc::{
    Body, Cancellation, Channel, Metadata, Reply, Request, Response, RpcService, Sender, Server,
    Status, Streaming,
};
use tokio::sync::Notify;

macro_rules! method {
    ($name:ident, $path:literal, $kind:ident) => {
        static $name: MethodDescriptor =
            MethodDescriptor::new($path, MethodKind::$kind, Idempotency::Unknown);
    };
}

method!(LIST, "/test.Streams/List", ServerStreaming);
method!(RECORD, "/test.Streams/Record", ClientStreaming);
method!(CHAT, "/test.Streams/Chat", Bidirectional);
method!(ONE, "/test.Streams/One", Unary);

/// What the handlers tell the test.
#[derive(Default)]
pub(crate) struct Seen {
    /// Handlers that are in progress.
    pub(crate) running: AtomicUsize,
    /// A handler was dropped, or has ended.
    pub(crate) ended: Notify,
    /// Messages sent by [`list`](Client::list) handlers.
    pub(crate) sent: AtomicUsize,
    pub(crate) token: std::sync::Mutex<Option<Cancellation>>,
    /// Opens what waits for it.
    pub(crate) gate: Notify,
}

struct Running(Arc<Seen>);

impl Running {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.running.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_one();
    }
}

fn metadata(key: &str, value: &str) -> Metadata {
    Metadata::new().with(key, value).unwrap()
}

async fn list(
    seen: Arc<Seen>,
    request: Request<String>,
    out: Sender<String>,
) -> Result<(), Status> {
    let _running = Running::new(&seen);
    *seen.token.lock().unwrap() = Some(request.cancellation());
    let (command, argument) = request.get_ref().split_once(' ').unwrap_or(("", ""));
    let number = argument.parse::<usize>().unwrap_or(0);
    let some = async |out: &Sender<String>| {
        for index in 0..number {
            out.send(index.to_string()).await?;
            seen.sent.fetch_add(1, Ordering::SeqCst);
        }
        Ok::<_, Status>(())
    };
    match command {
        "count" => some(&out).await,
        "everything" => out.send_all(numbers(number)).await,
        "fail" => {
            some(&out).await?;
            Err(Status::not_found("no more").with_metadata("why", "so"))
        }
        "panic" => {
            some(&out).await?;
            panic!("on request")
        }
        "wait" => {
            some(&out).await?;
            std::future::pending().await
        }
        "gate" => {
            seen.gate.notified().await;
            some(&out).await
        }
        "size" => out.send("x".repeat(number)).await,
        "metadata" => {
            let value = request.metadata().get("k").unwrap_or("none");
            out.set_metadata(metadata("head", value))?;
            assert!(out.set_metadata(Metadata::new()).is_err());
            out.set_trailers(metadata("tail", value))?;
            some(&out).await
        }
        "try" => {
            let mut count = 0;
            let full = loop {
                match out.try_send(count.to_string()) {
                    Ok(()) => count += 1,
                    Err(error) => break error,
                }
            };
            assert!(full.is_full());
            assert_eq!(full.into_inner(), count.to_string());
            out.set_trailers(metadata("count", &count.to_string()))
        }
        "elsewhere" => {
            let task = tokio::spawn(async move {
                for index in 0..number {
                    out.send(index.to_string()).await.unwrap();
                }
            });
            task.await
                .map_err(|_| Status::internal("the task panicked"))
        }
        "outlived" => {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                out.closed().await;
                assert!(out.is_closed());
                assert!(out.send("late".to_owned()).await.is_err());
                seen.gate.notify_one();
            });
            Ok(())
        }
        _ => Err(Status::invalid_argument("no such command")),
    }
}

async fn record(
    seen: Arc<Seen>,
    request: Request<Streaming<u64>>,
) -> Result<Response<u64>, Status> {
    let _running = Running::new(&seen);
    let early = request.metadata().contains_key("early");
    let mut numbers = request.into_inner();
    let mut sum = 0;
    while let Some(number) = numbers.message().await? {
        sum += number;
        if early {
            break;
        }
    }
    let mut reply = Response::new(sum).with_metadata("head", "h");
    reply.trailers_mut().insert("tail", "t")?;
    Ok(reply)
}

async fn chat(
    seen: Arc<Seen>,
    request: Request<Streaming<String>>,
    out: Sender<String>,
) -> Result<(), Status> {
    let _running = Running::new(&seen);
    *seen.token.lock().unwrap() = Some(request.cancellation());
    if request.metadata().contains_key("greet") {
        out.set_metadata(metadata("head", "h"))?;
        out.send("welcome".to_owned()).await?;
    }
    let mut notes = request.into_inner();
    while let Some(note) = notes.message().await? {
        if note == "bye" {
            return Ok(());
        }
        out.send(note).await?;
    }
    out.set_trailers(metadata("tail", "t"))
}

#[derive(Clone)]
pub(crate) struct Streams(Methods, pub(crate) Arc<Seen>);

impl Streams {
    pub(crate) fn new() -> Self {
        let seen = Arc::new(Seen::default());
        let (s, r, b) = (Arc::clone(&seen), Arc::clone(&seen), Arc::clone(&seen));
        let methods = Methods::builder("test.Streams")
            .server_streaming(&LIST, move |request, out| {
                list(Arc::clone(&s), request, out)
            })
            .client_streaming(&RECORD, move |request| record(Arc::clone(&r), request))
            .bidi_streaming(&CHAT, move |request, out| {
                chat(Arc::clone(&b), request, out)
            })
            .unary(&ONE, async |request: Request<u64>| {
                Ok(request.into_inner().into())
            });
        Self(methods.build(), seen)
    }
}

impl NamedService for Streams {
    const NAME: &'static str = "test.Streams";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

impl RpcService for Streams {
    fn call(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send {
        RpcService::call(&self.0, request)
    }
}

/// A client as the code generator writes it.
#[derive(Clone)]
pub(crate) struct Client<S>(pub(crate) S);

impl<S: RpcService> Client<S> {
    pub(crate) async fn list(
        &self,
        request: impl iip_rpc::IntoRequest<String>,
    ) -> Result<Response<Streaming<String>>, Status> {
        server_streaming(&self.0, &LIST, request.into_request()).await
    }

    pub(crate) async fn record(
        &self,
        request: Request<()>,
    ) -> Result<(Sender<u64>, Reply<u64>), Status> {
        client_streaming(&self.0, &RECORD, request).await
    }

    pub(crate) async fn chat(
        &self,
        request: Request<()>,
    ) -> Result<(Sender<String>, Streaming<String>), Status> {
        bidi_streaming(&self.0, &CHAT, request).await
    }

    pub(crate) async fn one(&self, number: u64) -> Result<u64, Status> {
        let reply: Response<u64> = unary(&self.0, &ONE, Request::new(number)).await?;
        Ok(reply.into_inner())
    }
}

/// A command for [`Client::list`].
pub(crate) fn command(text: impl Into<String>) -> Request<String> {
    Request::new(text.into())
}

/// Serves `streams` on a free port until the test ends.
pub(crate) async fn over_tcp(streams: &Streams) -> Client<Channel> {
    let server = Server::builder()
        .add_service(streams.clone())
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    Client(Channel::connect(address).await.unwrap())
}

/// Serves `streams` inside this process, where time may be virtual: nothing waits for the kernel.
pub(crate) async fn in_memory(streams: &Streams) -> Client<Channel> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = NEXT.fetch_add(1, Ordering::Relaxed);
    let server = Server::builder()
        .add_service(streams.clone())
        .bind(format!("memory://streams-{name}"))
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    Client(Channel::connect(address).await.unwrap())
}

/// Every message up to the end, and the stream.
pub(crate) async fn all(
    mut stream: Streaming<String>,
) -> (Vec<String>, Result<Streaming<String>, Status>) {
    let mut messages = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, Ok(stream)),
            Err(status) => return (messages, Err(status)),
        }
    }
}

/// Waits until no handler is in progress.
pub(crate) async fn idle(seen: &Seen) {
    while seen.running.load(Ordering::SeqCst) > 0 {
        seen.ended.notified().await;
    }
}

/// The numbers of a range as messages.
pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|index| index.to_string()).collect()
}
