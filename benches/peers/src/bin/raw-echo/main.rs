//! The load on a hand-written echo: the frames of IIP with tokio, and no RPC at all. It is the practical ceiling of
//! anything that exchanges these frames through one socket.

mod client;
mod frame;
mod inbox;
mod server;

use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use iip_load::{Caller, Failure, Framework, Operation, verify};

use client::{Call, Connection};

struct Raw;

impl Framework for Raw {
    const NAME: &'static str = "raw";
    type Connection = Connection;
    type Caller = RawCaller;

    async fn serve(listen: SocketAddr, announce: fn(SocketAddr)) -> Result<(), Failure> {
        Ok(server::serve(listen, announce).await?)
    }

    async fn connect(address: SocketAddr) -> Result<Connection, Failure> {
        Ok(Connection::open(address).await?)
    }

    fn caller(
        connection: &Connection,
        index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> RawCaller {
        RawCaller {
            call: connection.call(index),
            operation,
            payload,
        }
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
