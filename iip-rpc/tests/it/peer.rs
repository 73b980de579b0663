//! Who called, as handlers of every kind see it.

use std::os::unix::fs::MetadataExt;

use iip_rpc::codegen::{
    Idempotency, MethodDescriptor, MethodKind, Methods, NamedService, bidi_streaming,
    client_streaming, server_streaming, unary,
};
use iip_rpc::layer::{Next, interceptor};
use iip_rpc::server::{Listener, PeerAddr};
use iip_rpc::{Body, Channel, Request, Response, RpcService, Sender, Server, Status, Streaming};

macro_rules! method {
    ($name:ident, $path:literal, $kind:ident) => {
        static $name: MethodDescriptor =
            MethodDescriptor::new($path, MethodKind::$kind, Idempotency::Unknown);
    };
}

method!(ONE, "/test.Who/One", Unary);
method!(DOWN, "/test.Who/Down", ServerStreaming);
method!(UP, "/test.Who/Up", ClientStreaming);
method!(BOTH, "/test.Who/Both", Bidirectional);

/// The caller: kind of address, and what is known of the process behind a Unix socket.
fn who<T>(request: &Request<T>) -> String {
    match request.peer().map(|peer| &peer.address) {
        None => "nobody".to_owned(),
        Some(PeerAddr::Tcp(address)) => format!("tcp {}", address.ip()),
        Some(PeerAddr::Unix { pid, uid, gid, .. }) => format!("unix {pid:?} {uid} {gid}"),
        Some(PeerAddr::Memory) => "memory".to_owned(),
        Some(other) => panic!("{other}"),
    }
}

#[derive(Clone)]
struct Who(Methods);

impl Who {
    fn new() -> Self {
        let methods = Methods::builder("test.Who")
            .unary(&ONE, async |request: Request<()>| {
                Ok(Response::new(who(&request)))
            })
            .server_streaming(&DOWN, async |request: Request<()>, out: Sender<String>| {
                out.send(who(&request)).await
            })
            .client_streaming(&UP, async |request: Request<Streaming<()>>| {
                Ok(Response::new(who(&request)))
            })
            .bidi_streaming(
                &BOTH,
                async |request: Request<Streaming<()>>, out: Sender<String>| {
                    out.send(who(&request)).await
                },
            );
        Self(methods.build())
    }
}

impl NamedService for Who {
    const NAME: &'static str = "test.Who";

    fn methods(&self) -> &Methods {
        &self.0
    }
}

/// What the handlers of all four kinds say.
async fn asked(service: &impl RpcService) -> Result<[String; 4], Status> {
    let one = unary(service, &ONE, Request::new(())).await?.into_inner();
    let down = server_streaming(service, &DOWN, Request::new(())).await?;
    let down = down.into_inner().message().await?.unwrap_or_default();
    let (sender, reply) = client_streaming::<_, (), String>(service, &UP, Request::new(())).await?;
    sender.finish().await?;
    let up = reply.await?.into_inner();
    let (sender, mut replies) =
        bidi_streaming::<_, (), String>(service, &BOTH, Request::new(())).await?;
    let both = replies.message().await?.unwrap_or_default();
    sender.finish().await?;
    Ok([one, down, up, both])
}

#[tokio::test]
async fn handlers_see_who_called() {
    let folder = std::env::temp_dir().join(format!("iip-rpc-peer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("s.sock");
    let layer = interceptor(|request: Request<Body>, next: Next| async move {
        assert_ne!(who(&request), "nobody");
        next.run(request).await
    });
    for layered in [false, true] {
        let socket = format!("unix://{}", path.display());
        let socket = socket.parse().unwrap();
        let unix = Listener::bind(&socket, &Default::default()).await.unwrap();
        // This process made the file, and is who connects.
        let file = std::fs::metadata(&path).unwrap();
        let mut server = Server::builder().add_service(Who::new()).listener(unix);
        if layered {
            server = server.layer(layer.clone());
        }
        let memory = format!("memory://peer-{layered}").parse().unwrap();
        let memory = Listener::bind(&memory, &Default::default()).await.unwrap();
        let server = server.listener(memory).bind("127.0.0.1:0").await.unwrap();
        let addresses: Vec<_> = server.local_addrs().map(ToString::to_string).collect();
        let serving = tokio::spawn(server.serve());
        let mut seen = Vec::new();
        for address in &addresses {
            let channel = Channel::connect(address).await.unwrap();
            let [one, down, up, both] = asked(&channel).await.unwrap();
            assert!(one == down && down == up && up == both);
            seen.push(one);
        }
        // Not every system tells the process.
        let pid = cfg!(target_os = "linux").then(|| std::process::id().cast_signed());
        let unix = format!("unix {pid:?} {} {}", file.uid(), file.gid());
        assert_eq!(
            seen,
            [unix, "memory".to_owned(), "tcp 127.0.0.1".to_owned()]
        );
        serving.abort();
        let _ = serving.await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn without_a_connection_there_is_nobody() {
    let service = Who::new();
    assert_eq!(asked(service.methods()).await.unwrap(), ["nobody"; 4]);
}
