//! Raw calls over real sockets.

use bytes::Bytes;

use crate::running::{Running, echo};

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
    let data = Bytes::from(
        (0..3_000_000u32)
            .map(|i| (i % 251) as u8)
            .collect::<Vec<_>>(),
    );
    assert_eq!(client.call("/echo", data.clone()).await.unwrap(), data);
}
