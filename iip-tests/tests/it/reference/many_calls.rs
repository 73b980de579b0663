//! A hundred thousand calls each way, each with a payload of its own, and each with its own answer.

use std::time::Duration;

use iip_core::server::{Incoming, handler_fn};
use iip_rpc::{iip_core, tokio};
use iip_tests::reference::Server;
use tokio::task::JoinSet;

use super::running::{Emulated, Ours};

const CALLS: usize = 100_000;

const CHANNELS: usize = 8;

/// Callers that share a channel of the emulated client.
const SHARERS: usize = 4;

/// What a caller sends in a call: nobody else sends the same, and lengths differ.
fn payload(caller: usize, call: usize) -> Vec<u8> {
    let mut text = format!("caller {caller} call {call} ");
    let length = text.len() + (caller * 31 + call * 17) % 300;
    while text.len() < length {
        text.push(char::from(b'a' + (text.len() % 26) as u8));
    }
    text.into_bytes()
}

/// What the servers answer.
fn answer_to(request: &[u8]) -> Vec<u8> {
    request.iter().rev().copied().collect()
}

async fn all(mut callers: JoinSet<usize>) {
    let mut calls = 0;
    while let Some(caller) = callers.join_next().await {
        calls += caller.expect("no panic");
    }
    assert_eq!(calls, CALLS);
}

#[tokio::test]
async fn of_the_reference_to_our_server() {
    let handler =
        handler_fn(|request: Incoming| async move { Ok(answer_to(request.data()).into()) });
    let server = Ours::start(iip_rpc::Server::builder().handler("/reverse", handler)).await;
    let client = server.client().await;
    let mut callers = JoinSet::new();
    for number in 0..CHANNELS {
        let channel = client.new_channel().await.expect("a channel");
        assert_eq!(channel.id() as usize, number + 1);
        for sharer in 0..SHARERS {
            let (channel, caller) = (channel.clone(), number * SHARERS + sharer);
            callers.spawn(async move {
                let calls = CALLS / CHANNELS / SHARERS;
                for call in 0..calls {
                    let request = payload(caller, call);
                    let expected = answer_to(&request);
                    let answer = channel.request("/reverse", request, Duration::from_secs(60));
                    assert!(answer.await.expect("an answer") == expected);
                }
                calls
            });
        }
    }
    all(callers).await;
    assert_eq!((client.lost(), client.is_closed()), (0, false));
}

#[tokio::test]
async fn of_our_client_to_the_reference() {
    let server = Server::new().handle("/reverse", |call| async move { Ok(answer_to(&call.data)) });
    let emulated = Emulated::start(server);
    let client = emulated.raw().await;
    let mut callers = JoinSet::new();
    for caller in 0..CHANNELS {
        let client = client.clone();
        callers.spawn(async move {
            let calls = CALLS / CHANNELS;
            for call in 0..calls {
                let request = payload(caller, call);
                let expected = answer_to(&request);
                let answer = client.call("/reverse", request).await;
                assert!(answer.expect("an answer") == expected);
            }
            calls
        });
    }
    all(callers).await;
    let observed = emulated.server.observed();
    assert_eq!(observed.calls["/reverse"], CALLS);
    assert_eq!((observed.connections, observed.most_on_channel), (1, 1));
    assert_eq!((observed.lost, observed.partial_frames), (0, 0));
    // As many channels as there are callers; one that was asked for too many does no harm.
    assert!(
        observed.calls["/sys/new_channel"] <= 2 * CHANNELS,
        "{observed:?}"
    );
}
