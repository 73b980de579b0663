//! The load on a hand-written echo: the frames of IIP with tokio, and no RPC at all. It is the practical ceiling of
//! anything that exchanges these frames through one socket.

mod client;
mod frame;
mod inbox;
mod server;
mod stream;

use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use iip_load::{Caller, Failure, Framework, Operation, Target, verify};

use client::{Call, Connection};
use stream::RawStream;

struct Raw;

impl Framework for Raw {
    const NAME: &'static str = "raw";
    type Connection = Vec<Connection>;
    type Caller = RawCaller;
    type Stream = RawStream;

    // There is no limit to raise.
    async fn serve(
        listen: SocketAddr,
        _max_message: Option<usize>,
        announce: fn(SocketAddr),
    ) -> Result<(), Failure> {
        Ok(server::serve(listen, announce).await?)
    }

    async fn connect(target: Target) -> Result<Vec<Connection>, Failure> {
        let mut connections = Vec::with_capacity(target.connections);
        for _ in 0..target.connections {
            connections.push(Connection::open(target.address).await?);
        }
        Ok(connections)
    }

    fn caller(
        connections: &Vec<Connection>,
        index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> RawCaller {
        let count = connections.len();
        RawCaller {
            call: connections[index % count].call(index / count),
            operation,
            payload,
        }
    }

    async fn stream(
        connections: &Vec<Connection>,
        size: usize,
        count: u64,
    ) -> Result<RawStream, Failure> {
        Ok(RawStream::open(connections[0].address, size, count).await?)
    }
}

struct RawCaller {
    call: Call,
    operation: Operation,
    payload: Bytes,
}

impl Caller for RawCaller {
    async fn call(&mut self) -> Result<(), Failure> {
        if self.operation != Operation::Echo {
            return Err("there are no handlers without RPC: use --workload echo".into());
        }
        let response = self.call.send(&self.payload).await?;
        verify(&self.payload, response)
    }
}

fn main() -> ExitCode {
    iip_load::run::<Raw>()
}
