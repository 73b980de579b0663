//! Returns all complete frames of a read with one write, or sends a stream.

use std::io;
use std::net::SocketAddr;

use bytes::Buf;
use iip_load::payload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::frame::{MESSAGES, STREAM, encode_header};
use crate::inbox::Inbox;
use crate::stream::StreamRequest;

/// Messages go out together up to this many bytes; one of this size goes out from where it lies.
const BATCH: usize = 64 * 1024;

pub(crate) async fn serve(listen: SocketAddr, announce: fn(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that fails is the client's to report.
        tokio::spawn(echo(stream));
    }
}

/// The frames go back as they came: a request's path and kind in a response cost less than writing others. A
/// connection on which a stream is asked for serves nothing else.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut inbox = Inbox::new();
    loop {
        let read = stream.read(inbox.space()).await?;
        if read == 0 {
            return Ok(());
        }
        inbox.advance(read);
        let mut asked = None;
        let complete = inbox.frames(|bytes, frame| {
            if frame.kind == STREAM {
                asked = StreamRequest::decode(&bytes[frame.data..frame.end]);
            }
        })?;
        if let Some(request) = asked {
            return send(stream, request).await;
        }
        if complete > 0 {
            stream.write_all(&inbox.bytes()[..complete]).await?;
            inbox.consume(complete);
        }
    }
}

/// Writes one frame after the other, each with as many messages as fit.
async fn send(mut stream: TcpStream, request: StreamRequest) -> io::Result<()> {
    let message = payload(0, request.size as usize);
    // Sizes are far below 4 GiB: they come from this program's own command line.
    let length = (message.len() as u32).to_be_bytes();
    let full = (BATCH / (4 + message.len())).max(1) as u64;
    let mut out = Vec::new();
    let mut left = request.count;
    while left > 0 {
        let batch = left.min(full);
        left -= batch;
        out.clear();
        let size = batch as usize * (4 + message.len());
        encode_header(&mut out, MESSAGES, b"/", 0, size);
        if message.len() >= BATCH {
            out.extend_from_slice(&length);
            let mut frame = Buf::chain(out.as_slice(), message.as_ref());
            stream.write_all_buf(&mut frame).await?;
        } else {
            for _ in 0..batch {
                out.extend_from_slice(&length);
                out.extend_from_slice(&message);
            }
            stream.write_all(&out).await?;
        }
    }
    Ok(())
}
