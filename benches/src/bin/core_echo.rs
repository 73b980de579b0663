//! The load on this project without RPC: bytes by path, with everything but the number of connections at its defaults.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{Incoming, Server, handler_fn};
use iip_core::transport::Address;
use iip_load::{Caller, Failure, Framework, NoStream, Operation, Target, verify};

/// The path of the reference's own benchmark.
const PATH: &str = "/echo_benchmark";

struct Core;

impl Framework for Core {
    const NAME: &'static str = "core";
    type Connection = Client;
    type Caller = CoreCaller;
    type Stream = NoStream;

    // Nothing here needs a limit raised.
    async fn serve(
        listen: SocketAddr,
        _max_message: Option<usize>,
        announce: fn(SocketAddr),
    ) -> Result<(), Failure> {
        let echo = handler_fn(|request: Incoming| async move { Ok(request.into_data()) });
        let server = Server::builder()
            .handler(PATH, echo)
            .bind(&listen.to_string())
            .await?;
        let address = server.local_addr().and_then(Address::socket_addr);
        announce(address.ok_or("the server is not bound to a socket address")?);
        server.serve().await;
        Ok(())
    }

    async fn connect(target: Target) -> Result<Client, Failure> {
        let client = Client::builder(Address::from(target.address))
            .min_connections(target.connections)
            .max_connections(target.connections)
            .connect()
            .await?;
        while client.connections() < target.connections {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(client)
    }

    fn caller(
        connection: &Client,
        _index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> CoreCaller {
        CoreCaller {
            client: connection.clone(),
            operation,
            payload,
        }
    }

    async fn stream(_connection: &Client, _size: usize, _count: u64) -> Result<NoStream, Failure> {
        NoStream::refuse()
    }
}

struct CoreCaller {
    client: Client,
    operation: Operation,
    payload: Bytes,
}

impl Caller for CoreCaller {
    async fn call(&mut self) -> Result<(), Failure> {
        if self.operation != Operation::Echo {
            return Err("this program only echoes: use --workload echo".into());
        }
        let response = self.client.call(PATH, self.payload.clone()).await?;
        verify(&self.payload, &response)
    }
}

fn main() -> ExitCode {
    iip_load::run::<Core>()
}
