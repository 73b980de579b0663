//! Raw calls over real sockets.

use std::time::Duration;

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{Incoming, Report, Server, ServerBuilder, handler_fn};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server on a free port, and what stops it.
pub(crate) struct Running {
    pub(crate) address: String,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Report>,
}

impl Running {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        Self::start_on(builder, "127.0.0.1:0").await
    }

    pub(crate) async fn start_on(builder: ServerBuilder, address: &str) -> Self {
        let server = builder.bind(address).await.unwrap();
        let address = server.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let signal = async {
            let _ = stopped.await;
        };
        let done = tokio::spawn(server.serve_with_shutdown(signal, Duration::from_secs(10)));
        Self { address, stop, done }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::builder(self.address.parse().unwrap())
            .connect()
            .await
            .unwrap()
    }

    pub(crate) async fn stop(self) -> Report {
        self.stop.send(()).unwrap();
        self.done.await.unwrap()
    }
}

pub(crate) fn echo() -> ServerBuilder {
    Server::builder().handler(
        "/echo",
        handler_fn(|request: Incoming| async { Ok(request.into_data()) }),
    )
}

#[tokio::test]
async fn one_call_over_tcp() {
    let server = Running::start(echo()).await;
    let client = server.client().await;
    assert_eq!(client.call("/echo", "hello").await.unwrap(), "hello");
    assert_eq!(server.stop().await.cut_calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_are_paired_with_their_answers() {
    let server = Running::start(echo()).await;
    let client = server.client().await;
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let client = client.clone();
            tokio::spawn(async move {
                for call in 0..500 {
                    let text = format!("{caller}/{call}");
                    let answer = client.call("/echo", text.clone()).await.unwrap();
                    assert_eq!(answer, text);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(server.stop().await.cut_calls, 0);
}

#[tokio::test]
async fn large_messages_travel_both_ways() {
    let server = Running::start(echo()).await;
    let client = server.client().await;
    let data = Bytes::from((0..3_000_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    assert_eq!(client.call("/echo", data.clone()).await.unwrap(), data);
}
