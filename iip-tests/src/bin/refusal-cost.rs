//! What a call costs that a server answers, and what one that it refuses for want of room: calls of an empty method, sent
//! by a client that does next to nothing, over a connection inside the process and on one thread. To be counted by
//! `valgrind --tool=callgrind`, which the test `refusal` does.
//!
//! ```text
//! refusal-cost answered|refused plain|sheddable CALLS
//! ```

use std::error::Error;
use std::io::{Write, stdout};

use iip_core::transport::memory_listener;
use iip_rpc::codegen::{Idempotency, MethodDescriptor, MethodKind, Methods, NamedService};
use iip_rpc::{Request, Response, Server, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const USAGE: &str = "usage: refusal-cost answered|refused plain|sheddable CALLS";

/// Calls that are under way at a time, each on a channel of its own.
const CHANNELS: u32 = 64;

static ECHO: MethodDescriptor =
    MethodDescriptor::new("/test.Empty/Echo", MethodKind::Unary, Idempotency::Unknown);

#[derive(Clone)]
struct Empty(Methods);

impl NamedService for Empty {
    const NAME: &'static str = "test.Empty";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

async fn echo(_: Request<()>) -> Result<Response<()>, Status> {
    Ok(Response::new(()))
}

fn frame(path: &str, channel: u32, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![1];
    frame.extend_from_slice(path.as_bytes());
    frame.push(0);
    frame.extend_from_slice(&channel.to_be_bytes());
    frame.extend_from_slice(&(data.len() as u32).to_be_bytes());
    frame.extend_from_slice(data);
    frame
}

/// Reads as many answers; how many of them are in the envelope.
async fn answers(
    stream: &mut DuplexStream,
    count: u32,
    buffer: &mut Vec<u8>,
) -> std::io::Result<u32> {
    /// Kind, path and its end, channel.
    const LENGTH_AT: usize = 7;
    const HEADER: usize = LENGTH_AT + 4;
    let (mut seen, mut enveloped, mut at) = (0, 0, 0);
    buffer.clear();
    while seen < count {
        stream.read_buf(buffer).await?;
        while let Some(length) = buffer.get(at + LENGTH_AT..at + HEADER) {
            let length = u32::from_be_bytes(length.try_into().unwrap_or_default()) as usize;
            if buffer.len() < at + HEADER + length {
                break;
            }
            enveloped += u32::from(buffer.get(at + HEADER) == Some(&0x0f));
            seen += 1;
            at += HEADER + length;
        }
    }
    Ok(enveloped)
}

async fn run(head: &[u8], limit: usize, calls: u32) -> Result<u32, Box<dyn Error>> {
    let methods = Methods::builder("test.Empty").unary(&ECHO, echo).build();
    let (listener, connector) = memory_listener();
    let server = Server::builder()
        .add_service(Empty(methods))
        .max_in_flight(limit)
        .pin_in_place()
        .listener(listener)
        .build()?;
    tokio::spawn(server.serve());
    let mut stream = connector.connect().await?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let hello = format!(r#"{{"v":1,"channels":{CHANNELS}}}"#);
    stream
        .write_all(&frame("/sys/hello", 0, hello.as_bytes()))
        .await?;
    // Its path is longer than those of the answers to come, and it comes alone.
    stream.read_buf(&mut buffer).await?;
    // The sequence number is set for each call.
    let mut data = vec![0x0f, 0, 0, 0];
    data.extend_from_slice(head);
    data.extend_from_slice(&[2, 0]);
    let seq_at = frame(ECHO.path(), 0, &data).len() - data.len() + 2;
    let mut batch = Vec::new();
    let mut places = Vec::new();
    for channel in 1..=CHANNELS {
        places.push(batch.len() + seq_at);
        batch.extend(frame(ECHO.path(), channel, &data));
    }
    let mut enveloped = 0;
    for round in 0..calls / CHANNELS {
        for place in &places {
            if let Some(seq) = batch.get_mut(*place..*place + 2) {
                seq.copy_from_slice(&(round as u16).to_be_bytes());
            }
        }
        stream.write_all(&batch).await?;
        enveloped += answers(&mut stream, CHANNELS, &mut buffer).await?;
    }
    Ok(enveloped)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or(USAGE);
    let limit = match next()?.as_str() {
        "answered" => 10_000,
        "refused" => 0,
        _ => return Err(USAGE.into()),
    };
    let head: &[u8] = match next()?.as_str() {
        "plain" => &[],
        // HEAD with one entry of metadata.
        "sheddable" => b"\x01\x1c\x12\x1a\x0a\x0dx-criticality\x12\x09sheddable",
        _ => return Err(USAGE.into()),
    };
    let calls: u32 = next()?.parse()?;
    let enveloped = run(head, limit, calls).await?;
    writeln!(stdout(), "{enveloped} of {calls} calls answered")?;
    Ok(())
}
