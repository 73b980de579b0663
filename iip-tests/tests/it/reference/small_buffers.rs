//! The reference's sockets have buffers of 16 KiB, and its writer gives a frame of 16 MiB three seconds: whoever
//! receives it must acknowledge without delay.

use std::time::Duration;

use iip_core::client::Client;
use iip_core::server::{Incoming, handler_fn};
use iip_rpc::bytes::Bytes;
use iip_rpc::{iip_core, tokio};
use iip_tests::reference::{self, MAX_DATA, Server};

use super::running::limited;

const LONG: Duration = Duration::from_secs(60);

/// Calls that make the kernel take the connection for one of questions and answers.
const SMALL_CALLS: usize = 50;

#[tokio::test]
async fn large_requests_reach_our_server_in_time() {
    let length =
        handler_fn(
            |request: Incoming| async move { Ok(Bytes::from(request.data().len().to_string())) },
        );
    let builder = iip_rpc::Server::builder().handler("/length", length);
    let server = builder.bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().to_string();
    let serving = tokio::spawn(server.serve());
    let client = reference::Client::connect(address.trim_start_matches("iip://")).await;
    let client = client.expect("a connection");
    let channel = client.new_channel().await.expect("a channel");
    for _ in 0..SMALL_CALLS {
        assert_eq!(channel.request("/length", "x", LONG).await, Ok("1".into()));
    }
    // The emulated client closes the connection if it cannot be rid of its frame within three seconds.
    let answer = channel.request("/length", vec![1; MAX_DATA], LONG);
    let answer = tokio::select! {
        answer = answer => answer,
        why = client.ended() => Err(why),
    };
    assert_eq!(answer, Ok(MAX_DATA.to_string().into()));
    serving.abort();
}

#[tokio::test]
async fn large_answers_reach_our_client_in_time() {
    let server = Server::new().handle("/large", |call| async move {
        let length = String::from_utf8_lossy(&call.data).parse();
        length
            .map(|length| vec![1; length])
            .map_err(|_| "no number".into())
    });
    let listener = Server::listen("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a port").to_string();
    let serving = server.clone();
    let serving = tokio::spawn(async move { serving.serve(listener).await });
    let address = address.parse().expect("an address");
    let client = Client::builder(address)
        .connect()
        .await
        .expect("a connection");
    for _ in 0..SMALL_CALLS {
        let answer = limited(client.call("/large", "1")).await;
        assert_eq!(answer.expect("an answer").len(), 1);
    }
    let answer = limited(client.call("/large", MAX_DATA.to_string())).await;
    assert_eq!(answer.expect("an answer").len(), MAX_DATA);
    assert_eq!(server.observed().connections, 1);
    serving.abort();
}
