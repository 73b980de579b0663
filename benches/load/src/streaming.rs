//! Server-streaming calls, one after the other.

use std::time::Instant;

use crate::closed_loop::Failure;
use crate::framework::{Framework, Stream};
use crate::process::cpu_time;
use crate::report::StreamMeasurement;
use crate::workload::Times;

/// Makes calls of `count` messages, each with `size` bytes, until the time is over; the last one is still counted
/// to its end. `server` is the server's process.
///
/// # Errors
///
/// The first call that fails or ends early; a process that cannot be observed.
pub async fn measure_stream<F: Framework>(
    connection: &F::Connection,
    size: usize,
    count: u64,
    times: Times,
    server: Option<u32>,
) -> Result<StreamMeasurement, Failure> {
    let own = std::process::id();
    let server_time = || server.map(cpu_time).transpose();

    let start = Instant::now();
    while start.elapsed() < times.warm_up {
        one_call::<F>(connection, size, count).await?;
    }
    let (client_before, server_before, start) = (cpu_time(own)?, server_time()?, Instant::now());
    let mut calls = 0;
    while calls == 0 || start.elapsed() < times.counted {
        one_call::<F>(connection, size, count).await?;
        calls += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let client = cpu_time(own)?.saturating_sub(client_before);
    let server = server_time()?
        .zip(server_before)
        .map(|(after, before)| after.saturating_sub(before));

    let messages_per_second = (calls * count) as f64 / seconds;
    Ok(StreamMeasurement {
        framework: F::NAME.to_owned(),
        size,
        messages_per_call: count,
        seconds,
        calls,
        messages_per_second,
        bytes_per_second: messages_per_second * size as f64,
        client_cores: client.as_secs_f64() / seconds,
        server_cores: server.map(|cpu| cpu.as_secs_f64() / seconds),
    })
}

async fn one_call<F: Framework>(
    connection: &F::Connection,
    size: usize,
    count: u64,
) -> Result<(), Failure> {
    let mut stream = F::stream(connection, size, count).await?;
    let mut received = 0;
    while stream.next().await? {
        received += 1;
    }
    if received == count {
        Ok(())
    } else {
        Err(format!("a call of {count} messages ended after {received}").into())
    }
}

/// Calls that were begun and whose messages nobody reads.
pub struct Stalled<S>(Vec<S>);

impl<S: Stream> Stalled<S> {
    /// Bytes of payload of a message.
    const SIZE: usize = 1024;

    /// How many messages are read when all is over: more than had been received without reading.
    const READ_AFTERWARDS: usize = 20_000;

    /// Begins `calls` calls without an end and waits for the first message of each.
    ///
    /// # Errors
    ///
    /// The first call that fails or ends.
    pub async fn begin<F: Framework<Stream = S>>(
        connection: &F::Connection,
        calls: usize,
    ) -> Result<Self, Failure> {
        let mut stalled = Vec::with_capacity(calls);
        for _ in 0..calls {
            let mut stream = F::stream(connection, Self::SIZE, u64::MAX).await?;
            expect_message(&mut stream).await?;
            stalled.push(stream);
        }
        Ok(Self(stalled))
    }

    /// Reads on, to see that the calls had only stalled.
    ///
    /// # Errors
    ///
    /// The first call that has failed or ended.
    pub async fn read_on(mut self) -> Result<(), Failure> {
        for stream in &mut self.0 {
            for _ in 0..Self::READ_AFTERWARDS {
                expect_message(stream).await?;
            }
        }
        Ok(())
    }
}

async fn expect_message(stream: &mut impl Stream) -> Result<(), Failure> {
    if stream.next().await? {
        Ok(())
    } else {
        Err("a call without an end has ended".into())
    }
}
