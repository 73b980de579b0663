//! The load on tonic: one HTTP/2 connection, everything at its defaults.

use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use iip_load::{BURN, Caller, Failure, Framework, Operation, burn, verify};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

#[allow(missing_docs, unreachable_pub, reason = "generated")]
mod bench {
    tonic::include_proto!("bench");
}

use bench::EchoMessage;
use bench::echo_client::EchoClient;
use bench::echo_server::{Echo, EchoServer};

struct EchoService;

#[tonic::async_trait]
impl Echo for EchoService {
    async fn echo(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn echo_yield(
        &self,
        request: Request<EchoMessage>,
    ) -> Result<Response<EchoMessage>, Status> {
        tokio::task::yield_now().await;
        Ok(Response::new(request.into_inner()))
    }

    async fn burn(&self, request: Request<EchoMessage>) -> Result<Response<EchoMessage>, Status> {
        burn(BURN);
        Ok(Response::new(request.into_inner()))
    }
}

struct Tonic;

impl Framework for Tonic {
    const NAME: &'static str = "tonic";
    type Connection = Channel;
    type Caller = TonicCaller;

    async fn serve(listen: SocketAddr, announce: fn(SocketAddr)) -> Result<(), Failure> {
        let listener = TcpListener::bind(listen).await?;
        announce(listener.local_addr()?);
        // What `Server::serve` does with an address; a listener of one's own would leave Nagle's algorithm on.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Server::builder()
            .add_service(EchoServer::new(EchoService))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    }

    async fn connect(address: SocketAddr) -> Result<Channel, Failure> {
        Ok(Endpoint::from_shared(format!("http://{address}"))?
            .connect()
            .await?)
    }

    fn caller(
        connection: &Channel,
        _index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> TonicCaller {
        TonicCaller {
            client: EchoClient::new(connection.clone()),
            operation,
            payload,
        }
    }
}

struct TonicCaller {
    client: EchoClient<Channel>,
    operation: Operation,
    payload: Bytes,
}

impl Caller for TonicCaller {
    async fn call(&mut self) -> Result<(), Failure> {
        let request = EchoMessage {
            payload: self.payload.clone(),
        };
        let response = match self.operation {
            Operation::Echo => self.client.echo(request).await?,
            Operation::Yield => self.client.echo_yield(request).await?,
            Operation::Burn => self.client.burn(request).await?,
        };
        verify(&self.payload, &response.get_ref().payload)
    }
}

fn main() -> ExitCode {
    iip_load::run::<Tonic>()
}
