//! Peers that say what a test tells them to, whether it is allowed or not.

use bytes::{Bytes, BytesMut};
use iip_core::wire::record::{RecordKind, Records, decode_varint};
use iip_core::wire::{Decoded, Decoder, Frame, MAX_DATA};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::running::limited;

/// A frame's bytes up to its data, of any values.
pub(crate) fn header(kind: u8, path: impl AsRef<[u8]>, channel: u32, length: u32) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(path.as_ref());
    out.push(0);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out
}

/// A frame's bytes, of any values.
pub(crate) fn frame(
    kind: u8,
    path: impl AsRef<[u8]>,
    channel: u32,
    data: impl AsRef<[u8]>,
) -> Vec<u8> {
    let data = data.as_ref();
    let mut out = header(kind, path, channel, data.len() as u32);
    out.extend_from_slice(data);
    out
}

pub(crate) fn data(frame: &Frame) -> Bytes {
    frame.clone().into_data()
}

pub(crate) fn text(frame: &Frame) -> String {
    String::from_utf8_lossy(&data(frame)).into_owned()
}

/// What a GOAWAY says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoAway {
    pub(crate) code: u64,
    pub(crate) channel: u64,
    pub(crate) text: String,
}

/// The GOAWAY in a frame of the event stream.
pub(crate) fn goaway(frame: &Frame) -> Option<GoAway> {
    let data = data(frame);
    let records = Records::new(data.strip_prefix(&[0x0f])?.get(3..)?);
    let record = records
        .flatten()
        .find(|record| record.kind == RecordKind::GOAWAY)?;
    let (code, used) = decode_varint(record.payload).ok()?;
    let rest = &record.payload[used..];
    let (channel, used) = decode_varint(rest).ok()?;
    let rest = &rest[used..];
    let (_, used) = decode_varint(rest).ok()?;
    let text = String::from_utf8_lossy(&rest[used..]).into_owned();
    Some(GoAway {
        code,
        channel,
        text,
    })
}

/// One end of a connection.
pub(crate) struct Peer<T> {
    io: T,
    decoder: Decoder,
    input: BytesMut,
}

impl Peer<TcpStream> {
    pub(crate) async fn connect(address: &str) -> Self {
        let address = address.trim_start_matches("iip://");
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self::new(stream)
    }

    /// A plain client with channels 1 to `channels`.
    pub(crate) async fn plain(address: &str, channels: u32) -> Self {
        let mut peer = Self::connect(address).await;
        peer.open_channels(channels).await;
        peer
    }

    /// A native client whose event stream is on channel 1, and which may use those up to `channels`.
    pub(crate) async fn native(address: &str, channels: u32) -> Self {
        let mut peer = Self::connect(address).await;
        peer.say_hello(channels).await;
        peer
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        let _ = self.io.set_zero_linger();
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            decoder: Decoder::new(MAX_DATA),
            input: BytesMut::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        limited(self.io.write_all(bytes.as_ref()))
            .await
            .expect("an open connection");
    }

    /// False: the other side does not take it any more.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        limited(self.io.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Ends this direction.
    pub(crate) async fn finish(&mut self) {
        limited(self.io.shutdown())
            .await
            .expect("an open connection");
    }

    /// The next frame; `None` if the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.decode(&mut self.input).expect("a frame") {
                Decoded::Frame(frame) => return Some(frame),
                Decoded::Close => return None,
                Decoded::Incomplete => {}
            }
            let missing = self.decoder.missing(self.input.len());
            self.input.reserve(missing.max(16 * 1024));
            match limited(self.io.read_buf(&mut self.input)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn expect(&mut self) -> Frame {
        self.next().await.expect("a frame before the end")
    }

    /// Everything until the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// The other side is to close, saying why.
    pub(crate) async fn expect_goaway(&mut self) -> GoAway {
        let frames = self.rest().await;
        let found = frames.iter().find_map(goaway);
        found.unwrap_or_else(|| panic!("closed without GOAWAY after {frames:?}"))
    }

    /// One call, for clients.
    pub(crate) async fn call(&mut self, path: &str, channel: u32, text: &str) -> String {
        self.send(frame(1, path, channel, text)).await;
        let answer = self.expect().await;
        assert_eq!(answer.channel().0, channel);
        self::text(&answer)
    }

    pub(crate) async fn open_channels(&mut self, channels: u32) {
        for channel in 1..=channels {
            self.open_channel(channel).await;
        }
    }

    /// One more channel, of which this is to be the number.
    pub(crate) async fn open_channel(&mut self, channel: u32) {
        let answer = self.call("/sys/new_channel", 0, "{}").await;
        assert_eq!(answer, format!("{{\"code\":0,\"channel_id\":{channel}}}"));
    }

    pub(crate) async fn say_hello(&mut self, channels: u32) {
        let hello = format!("{{\"v\":1,\"min\":1,\"channels\":{channels}}}");
        let answer = self.call("/sys/hello", 0, &hello).await;
        assert!(answer.starts_with("{\"code\":0,\"v\":1"), "{answer}");
        self.send(frame(0, "/sys/events", 1, [0x0f, 0, 0, 0])).await;
        let opened = self.expect().await;
        assert_eq!((opened.kind().as_u8(), opened.channel().0), (4, 1));
    }

    /// Answers a client's hello, for servers. The client's event stream is open afterwards.
    pub(crate) async fn greet(&mut self, channels: u32) {
        let hello = self.expect().await;
        assert_eq!(hello.path(), b"/sys/hello");
        let answer = format!(
            "{{\"code\":0,\"v\":1,\"window\":32768,\"max_message\":4194304,\"channels\":{channels}}}"
        );
        self.send(frame(5, "/sys/hello", 0, answer)).await;
        self.grant(channels + 1).await;
        let events = self.expect().await;
        assert_eq!(events.path(), b"/sys/events");
        self.send(frame(4, "/", events.channel().0, [0x0f, 0x80, 0, 0]))
            .await;
    }

    /// Answers a channel request, for servers.
    pub(crate) async fn grant(&mut self, channel: u32) {
        let request = self.expect().await;
        assert_eq!(request.path(), b"/sys/new_channel");
        let answer = format!("{{\"code\":0,\"channel_id\":{channel}}}");
        self.send(frame(5, "/sys/new_channel", 0, answer)).await;
    }
}

/// A server that is played by a test.
pub(crate) struct FakeServer {
    listener: TcpListener,
    pub(crate) address: String,
}

impl FakeServer {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        Self { listener, address }
    }

    pub(crate) async fn accept(&self) -> Peer<TcpStream> {
        let (stream, _) = limited(self.listener.accept()).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Peer::new(stream)
    }
}
