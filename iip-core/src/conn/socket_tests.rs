use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

use super::driver::now;
use super::socket::Socket;
use crate::session::Sink;

const MIB: usize = 1024 * 1024;

async fn read(socket: &mut Socket<DuplexStream>, missing: usize) -> usize {
    poll_fn(|cx| socket.poll_read(cx, missing)).await.unwrap()
}

#[tokio::test]
async fn memory_follows_what_arrives_and_not_what_was_announced() {
    let (mut far, near) = duplex(MIB);
    let mut socket = Socket::new(near);
    let announced = 16 * MIB;
    far.write_all(&[0; 100]).await.unwrap();
    read(&mut socket, announced).await;
    assert!(
        socket.input.capacity() <= 128 * 1024,
        "{}",
        socket.input.capacity()
    );
    while socket.input.len() < announced {
        far.write_all(&[0; 8 * 1024]).await.unwrap();
        let missing = announced + 100 - socket.input.len();
        read(&mut socket, missing).await;
        let (capacity, length) = (socket.input.capacity(), socket.input.len());
        assert!(
            capacity <= 128 * 1024 + 4 * length,
            "{capacity} for {length}"
        );
    }
}

#[tokio::test]
async fn buffers_begin_small_grow_with_use_and_are_given_back() {
    let (mut far, near) = duplex(MIB);
    let mut socket = Socket::new(near);
    assert_eq!(socket.input.capacity(), 0);
    far.write_all(b"x").await.unwrap();
    assert_eq!(read(&mut socket, 0).await, 1);
    assert!(
        socket.input.capacity() <= 4 * 1024,
        "{}",
        socket.input.capacity()
    );
    far.write_all(&vec![0; MIB]).await.unwrap();
    let mut most = 0;
    for _ in 0..100 {
        socket.input.clear();
        if far_is_empty(&mut socket).await {
            break;
        }
        most = most.max(socket.input.len());
    }
    assert!(
        (16 * 1024..=64 * 1024).contains(&most),
        "{most} in one read"
    );
    socket.shrink();
    let output = socket.output.bytes().capacity();
    assert_eq!((socket.input.capacity(), output), (0, 0));
    // What is not read yet stays.
    far.write_all(b"abc").await.unwrap();
    read(&mut socket, 0).await;
    socket.output.bytes().extend_from_slice(b"out");
    socket.shrink();
    assert_eq!(
        (&socket.input[..], socket.output.whole()),
        (&b"abc"[..], Some(&b"out"[..]))
    );
}

/// Reads once, if there is anything.
async fn far_is_empty(socket: &mut Socket<DuplexStream>) -> bool {
    poll_fn(|cx| Poll::Ready(socket.poll_read(cx, 0).is_pending())).await
}

#[tokio::test]
async fn a_large_output_buffer_is_not_kept() {
    let (_far, near) = duplex(2 * MIB);
    let mut socket = Socket::new(near);
    for (length, kept) in [(100 * 1024, true), (MIB, false)] {
        socket.output.bytes().resize(length, 0);
        while socket.has_output() {
            poll_fn(|cx| socket.poll_write(cx, now)).await.unwrap();
        }
        assert_eq!(socket.output.bytes().capacity() > 0, kept);
    }
}

/// Takes nothing, or says that it did.
struct Stubborn(Option<usize>);

impl AsyncRead for Stubborn {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Stubborn {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.0.map_or(Poll::Pending, |count| Poll::Ready(Ok(count)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_is_an_error_or_a_stall() {
    let mut socket = Socket::new(Stubborn(Some(0)));
    socket.output.bytes().push(1);
    let error = poll_fn(|cx| socket.poll_write(cx, now)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);

    let limit = Duration::from_secs(10);
    let mut socket = Socket::new(Stubborn(None));
    socket.output.bytes().push(1);
    assert_eq!(socket.stalls_at(limit), None);
    let since = now();
    for _ in 0..3 {
        assert!(poll_fn(|cx| Poll::Ready(socket.poll_write(cx, now).is_pending())).await);
        assert_eq!(
            socket.stalls_at(limit),
            Some(since + limit),
            "counted from the first time"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
