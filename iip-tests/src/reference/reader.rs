use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::frame::{CLOSE, Frame, MAX_DATA};

/// What the reference buffers of each connection: a path that does not fit is an error.
const BUFFER: usize = 512 * 1024;

/// The part of a frame before its length.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) path: Vec<u8>,
    pub(super) channel: u32,
}

/// Reads frames in the order in which the reference looks at them: the kind, the path, the channel, the length.
#[derive(Debug)]
pub struct FrameReader<R> {
    input: BufReader<R>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
        }
    }

    /// The next frame, whoever sent it; the error says why there is none.
    pub async fn next(&mut self) -> Result<Frame, String> {
        let head = self.head().await?;
        let data = self.data().await?;
        Ok(Frame {
            kind: head.kind,
            path: head.path,
            channel: head.channel,
            data,
        })
    }

    pub(super) async fn head(&mut self) -> Result<Head, String> {
        let kind = self.input.read_u8().await.map_err(describe)?;
        if kind == CLOSE {
            return Err("closed by kind 8".into());
        }
        let mut path = Vec::new();
        let mut limited = (&mut self.input).take(BUFFER as u64);
        limited.read_until(0, &mut path).await.map_err(describe)?;
        if path.pop() != Some(0) {
            let long = path.len() + 1 >= BUFFER;
            return Err(if long { "buffer full" } else { "end of stream" }.into());
        }
        let channel = self.input.read_u32().await.map_err(describe)?;
        Ok(Head {
            kind,
            path,
            channel,
        })
    }

    pub(super) async fn data(&mut self) -> Result<Vec<u8>, String> {
        let length = self.input.read_u32().await.map_err(describe)? as usize;
        if length > MAX_DATA {
            return Err(format!("{length} bytes of data"));
        }
        if length == 0 {
            return Err("no data".into());
        }
        let mut data = vec![0; length];
        self.input.read_exact(&mut data).await.map_err(describe)?;
        Ok(data)
    }
}

fn describe(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "end of stream".into(),
        _ => error.to_string(),
    }
}
