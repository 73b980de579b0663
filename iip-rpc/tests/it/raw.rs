//! Raw IIP and typed methods on one port.

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{Incoming, handler_fn};
use iip_rpc::{Code, Server};

use crate::greeter::{GreeterClient, GreeterServer, MyGreeter, hello};

#[tokio::test]
async fn raw_handlers_share_a_port_with_services() {
    let server = Server::builder()
        .add_service(GreeterServer::new(MyGreeter))
        .handler(
            "/echo",
            handler_fn(async |request: Incoming| Ok(request.into_data())),
        )
        .fallback(handler_fn(async |request: Incoming| {
            Ok(Bytes::from(format!("no {}", request.path())))
        }))
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().clone();
    tokio::spawn(server.serve());
    let raw = Client::builder(address.clone()).connect().await.unwrap();
    assert_eq!(raw.call("/echo", "hi").await.unwrap(), "hi");
    assert_eq!(raw.call("/other?x=1", "hi").await.unwrap(), "no /other?x=1");
    let client = GreeterClient::connect(address.to_string()).await.unwrap();
    let reply = client.say_hello(hello("you")).await.unwrap();
    assert_eq!(reply.get_ref().message, "Hello you!");
}

#[tokio::test]
async fn a_method_that_is_a_raw_handler_there_is_unreadable_not_wrong() {
    let server = Server::builder()
        .handler(
            "/helloworld.Greeter/SayHello",
            handler_fn(async |request: Incoming| Ok(request.into_data())),
        )
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let client = GreeterClient::connect(address).await.unwrap();
    let status = client.say_hello(hello("you")).await.unwrap_err();
    assert!(
        [Code::Internal, Code::Unavailable].contains(&status.code()),
        "{status}"
    );
}
