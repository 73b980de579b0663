use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::time::sleep;

use super::call::CallFailure;
use super::connection::Connection;
use super::driver::{Endpoint, Status, Transmit, drive, now};
use super::shared::Observer;
use crate::error::{ErrorKind, Outcome};
use crate::session::{Batch, ClientConfig, Ended, Format, Output, Payload};
use crate::transport::Io;
use crate::wire::{ChannelId, Decoded, Decoder, FrameKind, MAX_DATA, Path, encode_frame};

struct Nobody;

impl Observer for Nobody {
    fn changed(&self) {}
}

/// A plain connection over any pipe, with its driver running.
fn start(io: impl Io) -> Connection {
    let config = ClientConfig {
        plain: true,
        ..ClientConfig::default()
    };
    let stall = Duration::from_secs(10);
    let (connection, driver) =
        Connection::start(io, config, stall, "test".into(), Arc::new(Nobody));
    tokio::spawn(driver);
    connection
}

/// A plain server that grants one channel and echoes.
async fn serve(mut io: impl Io) {
    let mut decoder = Decoder::new(MAX_DATA);
    let mut input = BytesMut::new();
    loop {
        while let Ok(Decoded::Frame(frame)) = decoder.decode(&mut input) {
            let path = String::from_utf8(frame.path().to_vec()).unwrap();
            let channel = frame.channel();
            let data = match &*path {
                "/sys/new_channel" => Bytes::from_static(br#"{"code":0,"channel_id":1}"#),
                _ => frame.into_data(),
            };
            let mut output = Vec::new();
            assert!(encode_frame(
                &mut output,
                FrameKind::ResponseWhole,
                &path,
                channel,
                &data
            ));
            io.write_all(&output).await.unwrap();
        }
        if io.read_buf(&mut input).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

async fn call(connection: &Connection, data: &[u8]) -> Result<Bytes, CallFailure> {
    let path = Path::from_static("/echo");
    let payload = Payload::Whole(Bytes::copy_from_slice(data));
    connection.call(&path, Format::Raw, payload, None).await
}

async fn ready(connection: &Connection) {
    while !connection.is_ready() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Moves one to three bytes at a time, and every other time none.
struct Trickle {
    io: DuplexStream,
    random: fastrand::Rng,
}

impl Trickle {
    /// How many bytes to move now; `None` to be asked again.
    fn step(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        match self.random.usize(..4) {
            0 => {
                cx.waker().wake_by_ref();
                None
            }
            count => Some(count),
        }
    }
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(count) = self.step(cx) else {
            return Poll::Pending;
        };
        let mut bytes = [0; 3];
        let count = count.min(buf.remaining());
        let mut piece = ReadBuf::new(&mut bytes[..count]);
        let poll = Pin::new(&mut self.io).poll_read(cx, &mut piece);
        buf.put_slice(piece.filled());
        poll
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(count) = self.step(cx) else {
            return Poll::Pending;
        };
        Pin::new(&mut self.io).poll_write(cx, &buf[..count.min(buf.len())])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A46: a socket that moves next to nothing at a time, and often says "not now".
#[tokio::test(start_paused = true)]
async fn a_pipe_that_trickles_carries_every_call() {
    for seed in 0..20 {
        let (far, near) = duplex(7);
        let random = fastrand::Rng::with_seed(seed);
        tokio::spawn(serve(far));
        let connection = start(Trickle { io: near, random });
        ready(&connection).await;
        for length in [1, 10, 100, 1000] {
            let data: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            assert_eq!(call(&connection, &data).await.unwrap(), data);
        }
        connection.close();
    }
}

/// Answers reads and writes from a list, and then not at all.
#[derive(Default)]
struct Scripted {
    reads: VecDeque<io::Result<Vec<u8>>>,
    writes: VecDeque<io::Result<usize>>,
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.reads.pop_front() {
            None => Poll::Pending,
            Some(result) => Poll::Ready(result.map(|bytes| buf.put_slice(&bytes))),
        }
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.writes.pop_front() {
            None => Poll::Pending,
            Some(result) => Poll::Ready(result.map(|count| count.min(buf.len()))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn end_of(io: Scripted) -> Ended {
    let connection = start(io);
    loop {
        if let Some(ended) = connection.ended() {
            return ended;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// A46: neither is a reason to try for ever.
#[tokio::test(start_paused = true)]
async fn an_end_or_a_write_of_nothing_ends_the_connection() {
    let zero = Scripted {
        writes: [Ok(1), Ok(1), Ok(0)].into(),
        ..Scripted::default()
    };
    assert_eq!(end_of(zero).await, Ended::Io(io::ErrorKind::WriteZero));
    let end = Scripted {
        reads: [Ok(Vec::new())].into(),
        ..Scripted::default()
    };
    assert_eq!(end_of(end).await, Ended::ByPeer);
    let reset = Scripted {
        reads: [Err(io::ErrorKind::ConnectionReset.into())].into(),
        ..Scripted::default()
    };
    assert_eq!(
        end_of(reset).await,
        Ended::Io(io::ErrorKind::ConnectionReset)
    );
    let broken = Scripted {
        writes: [Err(io::ErrorKind::BrokenPipe.into())].into(),
        ..Scripted::default()
    };
    assert_eq!(end_of(broken).await, Ended::Io(io::ErrorKind::BrokenPipe));
}

/// The error of a call that is never answered, over a socket that accepts so many bytes of it and then no more.
async fn unanswered(accepted: usize, deadline: Option<Instant>) -> crate::Error {
    let grant = b"\x05/sys/new_channel\0\0\0\0\0\0\0\0\x19{\"code\":0,\"channel_id\":1}";
    let request_length = "\x01/sys/new_channel\0________{}".len();
    let mut writes = VecDeque::from([Ok(request_length)]);
    writes.extend((accepted > 0).then_some(Ok(accepted)));
    let connection = start(Scripted {
        reads: [Ok(grant.to_vec())].into(),
        writes,
    });
    ready(&connection).await;
    let path = Path::from_static("/echo");
    let payload = Payload::Whole("hello".into());
    match connection.call(&path, Format::Raw, payload, deadline).await {
        Err(CallFailure::Failed(error)) => error,
        _ => panic!("{accepted}: no error"),
    }
}

const CALL_LENGTH: usize = "\x01/echo\0________hello".len();

/// What the socket did not accept whole when it was lost was not sent.
#[tokio::test(start_paused = true)]
async fn the_last_byte_decides_whether_a_call_may_have_run() {
    for accepted in 0..CALL_LENGTH {
        let error = unanswered(accepted, None).await;
        let seen = (error.kind(), error.outcome());
        assert_eq!(seen, (&ErrorKind::Closed, Outcome::NotSent), "{accepted}");
    }
}

/// What the socket has not accepted when the time is over, it may accept later.
#[tokio::test(start_paused = true)]
async fn a_call_on_its_way_may_run_after_its_deadline() {
    for accepted in 0..=CALL_LENGTH {
        let deadline = now() + Duration::from_secs(1);
        let error = unanswered(accepted, Some(deadline)).await;
        let seen = (error.kind(), error.outcome());
        assert_eq!(seen, (&ErrorKind::Deadline, Outcome::Unknown), "{accepted}");
        assert_eq!(now(), deadline);
    }
}

/// An endpoint that does nothing but count.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Counts>>);

#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    received: usize,
    shrunk: usize,
    timeouts: usize,
    transmits: usize,
}

impl Counting {
    fn counts(&self) -> Counts {
        *self.0.lock().unwrap()
    }
}

impl Endpoint for Counting {
    const LINGERS: bool = true;
    const FLUSH_LIMIT: Duration = Duration::from_secs(1);

    fn input(&mut self, input: &mut BytesMut, received: usize, _: Batch, _: Instant) {
        input.clear();
        self.0.lock().unwrap().received += received;
    }

    fn transmit(&mut self, _: &mut Output, _: usize, _: u8, _: &Waker) -> Transmit {
        self.0.lock().unwrap().transmits += 1;
        Transmit::Nothing
    }

    fn park(&mut self, _: usize, _: &Waker) {}

    fn timeout(&mut self, _: Instant) {
        self.0.lock().unwrap().timeouts += 1;
    }

    fn status(&self) -> Status {
        Status {
            wants_read: true,
            deferred: false,
            missing: 0,
            deadline: None,
            ended: false,
        }
    }

    fn eof(&mut self) {}

    fn end(&mut self, _: Ended) {}

    fn closed(&mut self, _: usize) {}

    fn shrink(&mut self) {
        self.0.lock().unwrap().shrunk += 1;
    }

    fn write_stall(&self) -> Duration {
        Duration::from_secs(10)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_quiet_gives_back_its_buffers_once() {
    let (mut far, near) = duplex(1024 * 1024);
    let endpoint = Counting::default();
    tokio::spawn(drive(near, endpoint.clone()));
    for round in 1..=3 {
        for _ in 0..10 {
            far.write_all(&[0; 1000]).await.unwrap();
            sleep(Duration::from_millis(900)).await;
            assert_eq!(
                endpoint.counts().shrunk,
                round - 1,
                "not while it is in use"
            );
        }
        sleep(Duration::from_secs(3600)).await;
        let counts = endpoint.counts();
        assert_eq!((counts.shrunk, counts.received), (round, round * 10_000));
        let before = endpoint.counts();
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(
            endpoint.counts(),
            before,
            "an idle connection has nothing to do"
        );
    }
}

/// As when it panics.
#[tokio::test]
async fn calls_end_when_their_driver_is_dropped() {
    let (io, mut server) = duplex(1 << 16);
    // Grants the channel, and answers nothing.
    let mut granted = Vec::new();
    let grant = br#"{"code":0,"channel_id":1}"#;
    let (kind, path) = (FrameKind::ResponseWhole, "/sys/new_channel");
    assert!(encode_frame(
        &mut granted,
        kind,
        path,
        ChannelId::ZERO,
        grant
    ));
    server.write_all(&granted).await.unwrap();
    let config = ClientConfig {
        plain: true,
        ..ClientConfig::default()
    };
    let stall = Duration::from_secs(10);
    let (connection, driver) =
        Connection::start(io, config, stall, "test".into(), Arc::new(Nobody));
    let driver = tokio::spawn(driver);
    ready(&connection).await;
    let waiting = {
        let connection = connection.clone();
        tokio::spawn(async move { call(&connection, b"x").await })
    };
    sleep(Duration::from_millis(1)).await;
    driver.abort();
    match waiting.await.unwrap() {
        Err(CallFailure::Failed(error)) => assert_eq!(error.kind(), &ErrorKind::Closed),
        other => panic!("{other:?}"),
    }
}
