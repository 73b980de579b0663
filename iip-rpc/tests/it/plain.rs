//! Peers that speak IIP only: protobuf as it is, and the reference's JSON for errors.

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{Incoming, handler_fn};
use iip_rpc::{Channel, Code, Outcome, Request, Server};

use crate::greeter::{GreeterClient, MyGreeter, hello};
use crate::native::serve;

const PATH: &str = "/helloworld.Greeter/SayHello";

/// A client as the reference's: without hello.
async fn plain_client() -> Client {
    Client::builder(serve(MyGreeter).await.parse().unwrap())
        .plain()
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_plain_client_calls_a_method() {
    let client = plain_client().await;
    for (request, answer) in [
        (&b"\x0a\x03you"[..], &b"\x0a\x0aHello you!"[..]),
        (b"\xc0\xa3\x09\x00", b"\x0a\x07Hello !"),
        (b"{}", b"\x0a\x07Hello !"),
        (b"\x0a\x05yield", b"\x0a\x07yielded"),
        (
            b"\x0a\x06nobody",
            br#"{"code":-1,"message":"handler fail:NOT_FOUND: nobody is here"}"#,
        ),
        (
            b"\x0a\x05panic",
            br#"{"code":101,"message":"handle no response"}"#,
        ),
        (
            b"\x0a\x0bpanic later",
            br#"{"code":101,"message":"handle no response"}"#,
        ),
    ] {
        let got = client.call(PATH, Bytes::copy_from_slice(request)).await;
        assert_eq!(got.unwrap(), answer);
    }
    let got = client
        .call(PATH, Bytes::from_static(b"\xff"))
        .await
        .unwrap();
    assert!(got.starts_with(br#"{"code":-1,"message":"handler fail:INVALID_ARGUMENT: "#));
}

#[tokio::test]
async fn nothing_in_a_plain_request_makes_it_native() {
    // A whole envelope of a native client.
    let request = Bytes::from_static(b"\x0f\x00\x00\x00\x02\x05\x0a\x03you");
    let got = plain_client().await.call(PATH, request).await.unwrap();
    assert!(got.starts_with(br#"{"code":-1,"message":"handler fail:INVALID_ARGUMENT"#));
}

#[tokio::test]
async fn a_large_plain_message_is_one_answer() {
    let mut request = b"\x0a\xc0\x84\x3d".to_vec();
    request.resize(request.len() + 1_000_000, b'x');
    let got = plain_client().await.call(PATH, request).await.unwrap();
    assert_eq!(got.len(), 1_000_000 + 7 + 4);
}

/// A server as the reference's: raw handlers that take protobuf, and no hello.
async fn plain_server() -> GreeterClient {
    let server = Server::builder()
        .handler(
            PATH,
            handler_fn(async |request: Incoming| {
                Ok(match &request.into_data()[..] {
                    b"\x0a\x03you" => Bytes::from_static(b"\x0a\x0aHello you!"),
                    b"\xc0\xa3\x09\x00" => Bytes::from_static(b"{}"),
                    b"\x0a\x06nobody" => Bytes::from_static(
                        br#"{"code":-1,"message":"handler fail:NOT_FOUND: nobody is here"}"#,
                    ),
                    b"\x0a\x04text" => {
                        Bytes::from_static(br#"{"code":-1,"message":"handler fail:some text"}"#)
                    }
                    b"\x0a\x04none" => {
                        Bytes::from_static(br#"{"code":102,"message":"handle error"}"#)
                    }
                    b"\x0a\x08overload" => Bytes::from_static(br#"{"code":109}"#),
                    _ => Bytes::from_static(b"\xff"),
                })
            }),
        )
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let channel = Channel::builder(address).plain().connect().await.unwrap();
    GreeterClient::new(channel)
}

#[tokio::test]
async fn a_plain_server_is_called() {
    let client = plain_server().await;
    let reply = client.say_hello(hello("you")).await.unwrap();
    assert_eq!(reply.get_ref().message, "Hello you!");
    let reply = client.say_hello(hello("")).await.unwrap();
    assert_eq!(reply.get_ref().message, "");
    // Metadata has no place there; the call is made without it.
    let request = Request::new(hello("you")).with_metadata("k", "v");
    assert!(client.say_hello(request).await.is_ok());
    for (name, code, message) in [
        ("nobody", Code::NotFound, "nobody is here"),
        ("text", Code::Unknown, "some text"),
        (
            "none",
            Code::Unimplemented,
            "the server answered with code 102: handle error",
        ),
        (
            "overload",
            Code::Unavailable,
            "the server answered with code 109",
        ),
    ] {
        let status = client.say_hello(hello(name)).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
        assert_eq!(status.outcome(), None);
        assert!(status.endpoint().is_some());
    }
    let status = client.say_hello(hello("what")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn deadlines_towards_a_plain_server_are_local() {
    let server = Server::builder()
        .handler(
            PATH,
            handler_fn(async |_: Incoming| std::future::pending().await),
        )
        .bind("memory://plain-deadline")
        .await
        .unwrap();
    let address = server.local_addr().to_string();
    tokio::spawn(server.serve());
    let channel = Channel::builder(address).plain().connect().await.unwrap();
    let request = Request::new(hello("you")).with_timeout(std::time::Duration::from_millis(20));
    let status = GreeterClient::new(channel)
        .say_hello(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.outcome(), Some(Outcome::Unknown));
}
