//! The client's side of a stream, on a connection of its own.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use iip_load::{Failure, Stream, payload, verify};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::frame::{STREAM, encode_header};
use crate::inbox::Inbox;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRequest {
    /// Bytes of each message.
    pub(crate) size: u64,
    pub(crate) count: u64,
}

impl StreamRequest {
    fn encode(self) -> [u8; 16] {
        (u128::from(self.size) << 64 | u128::from(self.count)).to_be_bytes()
    }

    pub(crate) fn decode(data: &[u8]) -> Option<Self> {
        let both = u128::from_be_bytes(data.try_into().ok()?);
        Some(Self {
            size: (both >> 64) as u64,
            count: both as u64,
        })
    }
}

pub(crate) struct RawStream {
    stream: TcpStream,
    inbox: Inbox,
    /// Where the next message of the frame being read begins in the inbox.
    next: usize,
    /// Where this frame ends.
    end: usize,
    /// Messages still to come.
    left: u64,
    expected: Bytes,
}

impl RawStream {
    pub(crate) async fn open(address: SocketAddr, size: usize, count: u64) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = StreamRequest {
            size: size as u64,
            count,
        }
        .encode();
        let mut frame = Vec::new();
        encode_header(&mut frame, STREAM, b"/bench.Streams/Send", 0, request.len());
        frame.extend_from_slice(&request);
        stream.write_all(&frame).await?;
        Ok(Self {
            stream,
            inbox: Inbox::new(),
            next: 0,
            end: 0,
            left: count,
            expected: payload(0, size),
        })
    }

    /// Finds the next frame, reading if it has not all arrived.
    async fn next_frame(&mut self) -> io::Result<()> {
        loop {
            if let Some(frame) = self.inbox.frame(self.end)? {
                self.next = self.end + frame.data;
                self.end += frame.end;
                return Ok(());
            }
            self.inbox.consume(self.end);
            self.end = 0;
            let read = self.stream.read(self.inbox.space()).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.advance(read);
        }
    }
}

impl Stream for RawStream {
    async fn next(&mut self) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        if self.next == self.end {
            self.next_frame().await?;
        }
        let message = first_message(&self.inbox.bytes()[self.next..self.end])
            .ok_or("a frame with a part of a message")?;
        verify(&self.expected, message)?;
        self.next += 4 + self.expected.len();
        self.left -= 1;
        Ok(true)
    }
}

fn first_message(messages: &[u8]) -> Option<&[u8]> {
    let (length, rest) = messages.split_first_chunk()?;
    rest.get(..u32::from_be_bytes(*length) as usize)
}
