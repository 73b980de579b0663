//! The load on HTTP/1.1 with hyper. A connection carries one call at a time, so that each caller wants one of its own,
//! which is kept alive from call to call.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use iip_load::{Caller, Failure, Framework, NoStream, Operation, Target, verify};
use tokio::net::{TcpListener, TcpStream};

const PATH: &str = "/echo_benchmark";

struct Http1;

/// Connections that no caller has taken yet.
struct Connections {
    host: HeaderValue,
    free: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Framework for Http1 {
    const NAME: &'static str = "http1";
    type Connection = Connections;
    type Caller = Http1Caller;
    type Stream = NoStream;

    // There is no limit to raise.
    async fn serve(
        listen: SocketAddr,
        _max_message: Option<usize>,
        announce: fn(SocketAddr),
    ) -> Result<(), Failure> {
        let listener = TcpListener::bind(listen).await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that fails is the client's to report.
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo)),
            );
        }
    }

    async fn connect(target: Target) -> Result<Connections, Failure> {
        let mut free = Vec::with_capacity(target.connections);
        for _ in 0..target.connections {
            let stream = TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            free.push(sender);
        }
        Ok(Connections {
            host: HeaderValue::from_str(&target.address.to_string())?,
            free: Mutex::new(free),
        })
    }

    fn caller(
        connections: &Connections,
        _index: usize,
        operation: Operation,
        payload: Bytes,
    ) -> Http1Caller {
        let mut free = connections
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Http1Caller {
            connection: free.pop(),
            host: connections.host.clone(),
            operation,
            payload,
        }
    }

    async fn stream(
        _connections: &Connections,
        _size: usize,
        _count: u64,
    ) -> Result<NoStream, Failure> {
        NoStream::refuse()
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.uri().path() != PATH {
        let mut missing = Response::default();
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return Ok(missing);
    }
    // Without a copy where the body arrives in one piece.
    let data = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::new(data)))
}

struct Http1Caller {
    /// Absent when there were fewer connections than callers.
    connection: Option<SendRequest<Full<Bytes>>>,
    host: HeaderValue,
    operation: Operation,
    payload: Bytes,
}

impl Caller for Http1Caller {
    async fn call(&mut self) -> Result<(), Failure> {
        if self.operation != Operation::Echo {
            return Err("this program only echoes: use --workload echo".into());
        }
        let Some(connection) = &mut self.connection else {
            return Err("each caller needs a connection: use --connections".into());
        };
        let mut request = Request::new(Full::new(self.payload.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(PATH);
        request.headers_mut().insert(HOST, self.host.clone());
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("the server answered {}", response.status()).into());
        }
        let data = response.into_body().collect().await?.to_bytes();
        verify(&self.payload, &data)
    }
}

fn main() -> ExitCode {
    iip_load::run::<Http1>()
}
