//! Limits of messages for each method and direction: whoever makes a message checks it, and whoever gets it.

use iip_rpc::codegen::{
    Idempotency, MethodDescriptor, MethodKind, Methods, client_streaming, server_streaming, unary,
};
use iip_rpc::{
    Channel, Code, Outcome, Request, Response, RpcService, Sender, Server, Status, Streaming,
};
use iip_tests::fixtures::limits::limits::{Blob, Files, FilesClient, FilesServer};

/// The methods as somebody has them who knows no limits.
static STAT: MethodDescriptor = MethodDescriptor::new(
    "/limits.Files/Stat",
    MethodKind::Unary,
    Idempotency::Unknown,
);
static UPLOAD: MethodDescriptor = MethodDescriptor::new(
    "/limits.Files/Upload",
    MethodKind::ClientStreaming,
    Idempotency::Unknown,
);
static DOWNLOAD: MethodDescriptor = MethodDescriptor::new(
    "/limits.Files/Download",
    MethodKind::ServerStreaming,
    Idempotency::Unknown,
);

/// A message of this many bytes.
fn blob(len: usize) -> Blob {
    let header = match len {
        0..130 => 2,
        130..16_387 => 3,
        _ => 4,
    };
    Blob {
        bytes: vec![7; len.saturating_sub(header)],
    }
}

struct Disk;

impl Files for Disk {
    async fn stat(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn upload(&self, request: Request<Streaming<Blob>>) -> Result<Response<Blob>, Status> {
        let mut blobs = request.into_inner();
        let mut bytes = Vec::new();
        while let Some(blob) = blobs.message().await? {
            bytes.extend(blob.bytes);
        }
        Ok(Response::new(Blob { bytes }))
    }

    /// Sends two messages: an empty one, and one of as many bytes as the request has.
    async fn download(&self, request: Request<Blob>, out: Sender<Blob>) -> Result<(), Status> {
        out.send(blob(0)).await?;
        out.send(request.into_inner()).await
    }

    async fn copy(
        &self,
        request: Request<Streaming<Blob>>,
        out: Sender<Blob>,
    ) -> Result<(), Status> {
        let mut blobs = request.into_inner();
        while let Some(blob) = blobs.message().await? {
            out.send(blob).await?;
        }
        Ok(())
    }
}

/// A channel to the service.
async fn channel(name: &str, service: impl iip_rpc::codegen::NamedService) -> Channel {
    let address = format!("memory://limits-{name}");
    let server = Server::builder()
        .add_service(service)
        .bind(&address)
        .await
        .expect("the name is free");
    iip_rpc::tokio::spawn(server.serve());
    Channel::connect(&address).await.expect("a connection")
}

async fn client_refuses(client: FilesClient<impl RpcService>) {
    let largest = client.stat(blob(1024)).await.expect("an answer");
    assert_eq!(largest.into_inner(), blob(1024));
    let status = client.stat(blob(1025)).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert!(status.message().contains("1025 bytes"), "{status}");
    assert!(status.message().contains("max_request"), "{status}");

    let (out, reply) = client.upload(()).await.expect("a call");
    out.send(blob(65_536)).await.expect("a listener");
    let status = out.send(blob(65_537)).await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    out.finish().await.expect("a listener");
    // The stream went on without the message.
    let reply = reply.await.expect("an answer").into_inner();
    assert_eq!(reply.bytes, blob(65_536).bytes);
}

#[test]
fn a_client_sends_no_message_that_is_too_large() {
    iip_rpc::run(async {
        client_refuses(FilesClient::new(FilesServer::new(Disk))).await;
        let channel = channel("client", FilesServer::new(Disk)).await;
        client_refuses(FilesClient::new(channel)).await;
    });
}

async fn server_refuses(service: impl RpcService) {
    let answer: Result<Response<Blob>, _> = unary(&service, &STAT, Request::new(blob(1025))).await;
    let status = answer.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.outcome(), Some(Outcome::NotProcessed));

    let client = FilesClient::new(service.clone());
    let mut stream = client
        .download(blob(1024))
        .await
        .expect("a stream")
        .into_inner();
    assert_eq!(stream.message().await.expect("no error"), Some(blob(0)));
    assert_eq!(stream.message().await.expect("no error"), Some(blob(1024)));
    assert_eq!(stream.message().await.expect("no error"), None);
    // The method fails where it sends too much, whatever the caller would take.
    let stream = server_streaming(&service, &DOWNLOAD, Request::new(blob(1025))).await;
    let mut stream: Streaming<Blob> = stream.expect("a stream").into_inner();
    assert_eq!(stream.message().await.expect("no error"), Some(blob(0)));
    let status = stream.message().await.expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("max_response"), "{status}");
}

#[test]
fn a_server_takes_and_sends_no_message_that_is_too_large() {
    iip_rpc::run(async {
        server_refuses(FilesServer::new(Disk)).await;
        server_refuses(channel("server", FilesServer::new(Disk)).await).await;
    });
}

/// A message that gets 20 to 100 times smaller.
fn sparse(len: u32) -> Blob {
    let noise = |at: u32| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8;
    let byte = |at: u32| if at.is_multiple_of(64) { noise(at) } else { 0 };
    Blob {
        bytes: (0..len).map(byte).collect(),
    }
}

/// What a server that has the limit says to a message from somebody who has not.
fn refused_by_the_server(status: &Status, text: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("max_request"), "{status}");
    assert!(status.message().contains(text), "{status}");
}

#[test]
fn a_server_refuses_a_large_message_before_it_is_there() {
    iip_rpc::run(async {
        let address = "memory://limits-early";
        let server = Server::builder()
            .add_service(FilesServer::new(Disk))
            .bind(address)
            .await
            .expect("the name is free");
        iip_rpc::tokio::spawn(server.serve());
        let plain = Channel::connect(address).await.expect("a connection");
        let packed = Channel::builder(address)
            .compress(iip_rpc::Encoding::Gzip)
            .connect()
            .await
            .expect("a connection");
        // Of several frames: refused at the first. Compressed: not decompressed any further.
        for (channel, len, text) in [
            (
                &plain,
                200_000,
                "larger than its method accepts, 1024 bytes",
            ),
            (
                &packed,
                20_000,
                "decompressed message has more than the 1024 bytes",
            ),
        ] {
            let large = Request::new(sparse(len));
            let answer: Result<Response<Blob>, _> = unary(channel, &STAT, large).await;
            let status = answer.expect_err("too large");
            refused_by_the_server(&status, text);
            assert_eq!(status.outcome(), Some(Outcome::NotProcessed));
            // The connection goes on.
            let answer: Result<Response<Blob>, _> =
                unary(channel, &STAT, Request::new(blob(1024))).await;
            assert_eq!(answer.expect("an answer").into_inner(), blob(1024));
        }
        for (channel, text) in [
            (&plain, "accepts 65536"),
            (
                &packed,
                "decompressed message has more than the 65536 bytes",
            ),
        ] {
            let (out, reply) =
                client_streaming::<_, Blob, Blob>(channel, &UPLOAD, Request::new(()))
                    .await
                    .expect("a call");
            out.send(blob(65_536)).await.expect("a listener");
            // It may be refused before all of it has gone out.
            let _ = out.send(sparse(200_000)).await;
            let _ = out.finish().await;
            refused_by_the_server(&reply.await.expect_err("too large"), text);
        }
    });
}

/// A service of the same methods that knows no limits.
#[derive(Clone)]
struct Generous(Methods);

impl iip_rpc::codegen::NamedService for Generous {
    const NAME: &'static str = "limits.Files";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

impl RpcService for Generous {
    async fn call(
        &self,
        request: Request<iip_rpc::Body>,
    ) -> Result<Response<iip_rpc::Body>, Status> {
        self.0.call(request).await
    }
}

async fn client_takes_no_more(service: impl RpcService) {
    let client = FilesClient::new(service);
    // Over a connection it is the first that is looked at.
    let status = match client.download(blob(1025)).await {
        Err(status) => status,
        Ok(stream) => {
            let mut stream = stream.into_inner();
            stream.message().await.expect_err("too large")
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("max_response"), "{status}");
}

#[test]
fn a_client_takes_no_message_that_is_too_large() {
    iip_rpc::run(async {
        let download = |request: Request<Blob>, out: Sender<Blob>| async move {
            out.send(request.into_inner()).await
        };
        let methods = Methods::builder("limits.Files")
            .server_streaming(&DOWNLOAD, download)
            .build();
        let service = Generous(methods);
        client_takes_no_more(service.clone()).await;
        client_takes_no_more(channel("generous", service).await).await;
    });
}
