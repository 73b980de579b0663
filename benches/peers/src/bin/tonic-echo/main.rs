//! The load on tonic: one HTTP/2 connection unless more are asked for, everything else at its defaults.

use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use iip_load::{
    BURN, Caller, Failure, Framework, Operation, Stream, Target, burn, payload, verify,
};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

#[allow(missing_docs, unreachable_pub, reason = "generated")]
mod bench {
    tonic::include_proto!("bench");
}

use bench::echo_client::EchoClient;
use bench::echo_server::{Echo, EchoServer};
use bench::streams_client::StreamsClient;
use bench::streams_server::{Streams, StreamsServer};
use bench::{EchoMessage, SendRequest};

/// tonic's default for what a side accepts.
const MAX_MESSAGE: usize = 4 << 20;

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

/// The messages of one call, all alike: an iterator is the cheapest stream there is.
type Messages = tokio_stream::Iter<Box<dyn Iterator<Item = Result<EchoMessage, Status>> + Send>>;

#[tonic::async_trait]
impl Streams for EchoService {
    type SendStream = Messages;

    async fn send(&self, request: Request<SendRequest>) -> Result<Response<Messages>, Status> {
        let SendRequest { size, count } = request.into_inner();
        let payload = payload(0, size as usize);
        let message = move |_| {
            Ok(EchoMessage {
                payload: payload.clone(),
            })
        };
        let messages: Box<dyn Iterator<Item = _> + Send> = Box::new((0..count).map(message));
        Ok(Response::new(tokio_stream::iter(messages)))
    }
}

struct Tonic;

/// The connections, which callers share out among them, and what they accept.
struct Connection {
    channels: Vec<Channel>,
    max_message: usize,
}

impl Connection {
    fn channel(&self, caller: usize) -> Channel {
        self.channels[caller % self.channels.len()].clone()
    }
}

impl Framework for Tonic {
    const NAME: &'static str = "tonic";
    type Connection = Connection;
    type Caller = TonicCaller;
    type Stream = TonicStream;

    async fn serve(
        listen: SocketAddr,
        max_message: Option<usize>,
        announce: fn(SocketAddr),
    ) -> Result<(), Failure> {
        let listener = TcpListener::bind(listen).await?;
        announce(listener.local_addr()?);
        // What `Server::serve` does with an address; a listener of one's own would leave Nagle's algorithm on.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let echo = EchoServer::new(EchoService)
            .max_decoding_message_size(max_message.unwrap_or(MAX_MESSAGE));
        Server::builder()
            .add_service(echo)
            .add_service(StreamsServer::new(EchoService))
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    }

    async fn connect(target: Target) -> Result<Connection, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{}", target.address))?;
        let mut channels = Vec::with_capacity(target.connections);
        for _ in 0..target.connections {
            channels.push(endpoint.connect().await?);
        }
        Ok(Connection {
            channels,
            max_message: target.max_message.unwrap_or(MAX_MESSAGE),
        })
    }

    fn caller(
        connection: &Connection,
        index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> TonicCaller {
        TonicCaller {
            client: EchoClient::new(connection.channel(index))
                .max_decoding_message_size(connection.max_message),
            operation,
            payload,
        }
    }

    async fn stream(
        connection: &Connection,
        size: usize,
        count: u64,
    ) -> Result<TonicStream, Failure> {
        let request = SendRequest {
            size: size as u64,
            count,
        };
        let mut client = StreamsClient::new(connection.channel(0));
        Ok(TonicStream {
            messages: client.send(request).await?.into_inner(),
            expected: payload(0, size),
        })
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

struct TonicStream {
    messages: Streaming<EchoMessage>,
    expected: Bytes,
}

impl Stream for TonicStream {
    async fn next(&mut self) -> Result<bool, Failure> {
        let Some(message) = self.messages.message().await? else {
            return Ok(false);
        };
        verify(&self.expected, &message.payload)?;
        Ok(true)
    }
}

fn main() -> ExitCode {
    iip_load::run::<Tonic>()
}
