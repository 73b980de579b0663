//! The load on this project: generated client and server over TCP, everything but the number of connections at
//! its defaults.

use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use iip_load::{
    BURN, Caller, Failure, Framework, Operation, Stream, Target, burn, payload, verify,
};
use iip_rpc::{Channel, Request, Response, Sender, Server, Status, Streaming};

#[allow(missing_docs, unreachable_pub, reason = "generated")]
mod bench {
    iip_rpc::include_proto!("bench");
}

use bench::{
    Echo, EchoClient, EchoMessage, EchoServer, SendRequest, Streams, StreamsClient, StreamsServer,
};

struct EchoService;

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

impl Streams for EchoService {
    async fn send(
        &self,
        request: Request<SendRequest>,
        out: Sender<EchoMessage>,
    ) -> Result<(), Status> {
        let SendRequest { size, count } = request.into_inner();
        let payload = payload(0, size as usize);
        for _ in 0..count {
            let payload = payload.clone();
            out.send(EchoMessage { payload }).await?;
        }
        Ok(())
    }
}

struct Iip;

impl Framework for Iip {
    const NAME: &'static str = "iip";
    type Connection = Channel;
    type Caller = IipCaller;
    type Stream = IipStream;

    async fn serve(
        listen: SocketAddr,
        max_message: Option<usize>,
        announce: fn(SocketAddr),
    ) -> Result<(), Failure> {
        let mut builder = Server::builder()
            .add_service(EchoServer::new(EchoService))
            .add_service(StreamsServer::new(EchoService));
        if let Some(bytes) = max_message {
            builder = builder.max_message(bytes);
        }
        let server = builder.bind(listen.to_string()).await?;
        let address = server.local_addr().socket_addr();
        announce(address.ok_or("the server is not bound to a socket address")?);
        server.serve().await?;
        Ok(())
    }

    async fn connect(target: Target) -> Result<Channel, Failure> {
        // One connection is also what the defaults come to: the pool opens a second one only for more calls at a time
        // than a connection has channels.
        let mut channel = Channel::builder(format!("iip://{}", target.address))
            .min_connections(target.connections)
            .max_connections(target.connections);
        if let Some(bytes) = target.max_message {
            channel = channel.max_message(bytes);
        }
        // The others follow at once, long before the warm-up is over.
        Ok(channel.connect().await?)
    }

    fn caller(
        connection: &Channel,
        _index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> IipCaller {
        IipCaller {
            client: EchoClient::new(connection.clone()),
            operation,
            payload,
        }
    }

    async fn stream(connection: &Channel, size: usize, count: u64) -> Result<IipStream, Failure> {
        let request = SendRequest {
            size: size as u64,
            count,
        };
        let client = StreamsClient::new(connection.clone());
        Ok(IipStream {
            messages: client.send(request).await?.into_inner(),
            expected: payload(0, size),
        })
    }
}

struct IipCaller {
    client: EchoClient<Channel>,
    operation: Operation,
    payload: Bytes,
}

impl Caller for IipCaller {
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

struct IipStream {
    messages: Streaming<EchoMessage>,
    expected: Bytes,
}

impl Stream for IipStream {
    async fn next(&mut self) -> Result<bool, Failure> {
        let Some(message) = self.messages.message().await? else {
            return Ok(false);
        };
        verify(&self.expected, &message.payload)?;
        Ok(true)
    }
}

fn main() -> ExitCode {
    iip_load::run::<Iip>()
}
