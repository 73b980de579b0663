//! Builders: what they accept, and the errors of what they do not.

use std::time::Duration;

use iip_core::server::handler_fn;
use iip_rpc::server::Listener;
use iip_rpc::{Channel, Code, Outcome, Request, Server};

use crate::greeter::{GreeterClient, GreeterServer, MyGreeter, hello};

fn server() -> iip_rpc::server::ServerBuilder {
    Server::builder().add_service(GreeterServer::new(MyGreeter))
}

#[tokio::test]
async fn several_listeners_serve_the_same_services() {
    let folder = std::env::temp_dir().join(format!("iip-rpc-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = format!("unix://{}", folder.join("s.sock").display());
    let own = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unix = Listener::bind(&socket.parse().unwrap(), &Default::default())
        .await
        .unwrap();
    let server = server()
        .listener(own)
        .listener(unix)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let addresses: Vec<_> = server.local_addrs().map(ToString::to_string).collect();
    assert_eq!(addresses.len(), 3);
    assert_eq!(addresses[1], socket);
    assert_eq!(addresses[2], server.local_addr().to_string());
    tokio::spawn(server.serve());
    for address in addresses {
        let client = GreeterClient::connect(&address).await.unwrap();
        let reply = client.say_hello(hello("you")).await.unwrap();
        assert_eq!(reply.get_ref().message, "Hello you!");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Greets over `address` once somebody listens there.
async fn greet(address: &str) {
    let channel = Channel::builder(address).wait_for_ready().connect().await;
    let client = GreeterClient::new(channel.unwrap());
    let reply = client.say_hello(hello("you")).await.unwrap();
    assert_eq!(reply.get_ref().message, "Hello you!");
}

#[tokio::test]
async fn a_builder_binds_and_serves_in_one() {
    let address = "memory://settings-serve";
    let serving = server().serve(address);
    tokio::select! {
        ended = serving => panic!("the server ended: {ended:?}"),
        () = greet(address) => {}
    }

    let address = "memory://settings-serve-with-shutdown";
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = server().serve_with_shutdown(address, stopped, Duration::from_secs(30));
    let (report, ()) = tokio::join!(serving, async {
        greet(address).await;
        drop(stop);
    });
    assert_eq!(report.unwrap().cut_calls, 0);

    for error in [
        server().serve("nowhere").await.unwrap_err(),
        server()
            .serve_with_shutdown("nowhere", std::future::pending::<()>(), Duration::ZERO)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
}

/// The settings are those of the builder: the limit of messages shows that they are in use.
#[tokio::test]
async fn a_client_is_connected_with_settings() {
    let server = server().bind("memory://settings-client").await.unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let small = Channel::builder(&address).max_message(10);
    let client = GreeterClient::connect(small).await.unwrap();
    let status = client.say_hello(hello("everybody")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    for client in [
        GreeterClient::connect(&address).await,
        GreeterClient::connect(address.as_str()).await,
        GreeterClient::connect(address.clone()).await,
        GreeterClient::connect(Channel::builder(&address)).await,
    ] {
        client.unwrap().say_hello(hello("you")).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_is_added_once() {
    let error = server()
        .add_service(GreeterServer::new(MyGreeter))
        .bind("127.0.0.1:0")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("helloworld.Greeter was added twice"),
        "{error}"
    );
}

#[tokio::test]
async fn a_path_has_one_handler() {
    let error = server()
        .handler(
            "/helloworld.Greeter/SayHello",
            handler_fn(async |_| Ok(Default::default())),
        )
        .bind("127.0.0.1:0")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("SayHello"), "{error}");
    assert!(server().build().is_err());
    assert!(server().bind("nonsense").await.is_err());
}

#[tokio::test]
async fn a_target_that_is_no_address_is_refused() {
    let status = Channel::connect("http://x").await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert!(Channel::builder("").connect_lazy().is_err());
}

/// The address of a port on which nobody listens.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("iip://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_names_phase_and_endpoint() {
    let target = nowhere().await;
    let status = Channel::connect(&target).await.unwrap_err();
    let channel = Channel::builder(&target).connect_lazy().unwrap();
    let later = GreeterClient::new(channel).say_hello(hello("x")).await;
    for status in [status, later.unwrap_err()] {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.outcome(), Some(Outcome::NotSent));
        assert_eq!(status.phase(), Some("connect"));
        assert!(status.to_string().contains(&target), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_failure_says_everything_once() {
    let status = Channel::connect("memory://settings-nobody")
        .await
        .unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNAVAILABLE: no connection: connect to memory://settings-nobody: no in-memory listener of this process has \
         that name; start the server first (phase: connect, outcome: not sent)"
    );

    let waiting = Channel::builder("memory://settings-nobody").wait_for_ready();
    let client = GreeterClient::new(waiting.connect_lazy().unwrap());
    let request = || Request::new(hello("x")).with_timeout(Duration::from_millis(20));
    let status = client.say_hello(request()).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "DEADLINE_EXCEEDED: the deadline passed while waiting for a connection to memory://settings-nobody (timeout) \
         (phase: connect, outcome: not sent)"
    );

    let nothing = Server::builder().bind("memory://settings-nothing").await;
    tokio::spawn(nothing.unwrap().serve());
    let client = GreeterClient::connect("memory://settings-nothing").await;
    let status = client.unwrap().say_hello(request()).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "UNIMPLEMENTED: memory://settings-nothing refused the call with code 102: handle error (phase: call, \
         outcome: not processed)"
    );

    let server = server().bind("memory://settings-server").await.unwrap();
    tokio::spawn(server.serve());
    let client = GreeterClient::connect("memory://settings-server").await;
    let status = client
        .unwrap()
        .say_hello(hello("nobody"))
        .await
        .unwrap_err();
    assert_eq!(
        status.to_string(),
        "NOT_FOUND: nobody is here (endpoint: memory://settings-server)"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_ends_with_the_deadline() {
    let channel = Channel::builder("memory://nobody")
        .wait_for_ready()
        .connect_lazy()
        .unwrap();
    let request = Request::new(hello("x")).with_timeout(std::time::Duration::from_millis(20));
    let status = GreeterClient::new(channel)
        .say_hello(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::NotSent));
    assert_eq!(status.phase(), Some("connect"));
}

#[tokio::test]
async fn a_lazy_channel_connects_with_the_first_call() {
    let server = server().bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let channel = Channel::builder(&address)
        .min_connections(0)
        .max_connections(1)
        .connect_lazy()
        .unwrap();
    assert_eq!(channel.endpoint(), address);
    let client = GreeterClient::new(channel);
    assert!(client.say_hello(hello("you")).await.is_ok());
}
