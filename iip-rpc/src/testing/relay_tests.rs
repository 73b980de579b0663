use std::time::Duration;

use iip_core::transport::{Address, Stream, TcpOptions, connect, memory_listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::{Faults, Relay};

const SECOND: Duration = Duration::from_secs(1);

/// A server that sends everything back, for ever; its address.
fn echo() -> Address {
    let (mut listener, connector) = memory_listener();
    tokio::spawn(async move {
        loop {
            let (mut from, mut to) = tokio::io::split(listener.accept().await);
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    connector.address()
}

async fn dial(relay: &Relay) -> Stream {
    let options = TcpOptions::default();
    connect(relay.address(), SECOND, &options).await.unwrap().0
}

/// What comes back of `len` bytes.
async fn sent_back(stream: &mut Stream, len: usize) -> usize {
    let bytes: Vec<u8> = (0..len).map(|index| index as u8).collect();
    let (mut from, mut to) = tokio::io::split(stream);
    let send = async {
        let _ = to.write_all(&bytes).await;
        let _ = to.shutdown().await;
    };
    let mut back = Vec::new();
    let receive = from.read_to_end(&mut back);
    let _ = tokio::join!(send, receive);
    assert!(bytes.starts_with(&back));
    back.len()
}

#[tokio::test(start_paused = true)]
async fn without_faults_everything_passes() {
    let relay = Faults::new(1).relay(&echo());
    assert_eq!(sent_back(&mut dial(&relay).await, 100_000).await, 100_000);
    assert_eq!((relay.connections(), relay.passed()), (1, 200_000));
}

#[tokio::test(start_paused = true)]
async fn pieces_and_delays_lose_nothing() {
    let relay = Faults::new(2)
        .split(1..=7)
        .delay(Duration::ZERO..=SECOND)
        .stall(10, SECOND..=60 * SECOND)
        .relay(&echo());
    let start = Instant::now();
    assert_eq!(sent_back(&mut dial(&relay).await, 1000).await, 1000);
    assert!(start.elapsed() > 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_cut_at_the_byte() {
    for bytes in [0, 1, 999, 20_000] {
        let relay = Faults::new(3).drop_after(bytes..=bytes).relay(&echo());
        let back = sent_back(&mut dial(&relay).await, 100_000).await;
        assert!(back as u64 <= bytes, "{back} of {bytes}");
        assert!(relay.passed() <= 2 * bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_connections_fail_on_request() {
    let relay = Faults::new(8).drop_after(5..=5).first(2).relay(&echo());
    for back in [5, 5, 100, 100] {
        let got = sent_back(&mut dial(&relay).await, 100).await;
        assert!(got == back || back == 5 && got < 5, "{got} of {back}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_does_the_same() {
    let run = async |seed| {
        let relay = Faults::new(seed)
            .split(1..=100)
            .delay(Duration::ZERO..=SECOND)
            .drop_after(0..=20_000)
            .relay(&echo());
        let start = Instant::now();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let back = sent_back(&mut dial(&relay).await, 10_000).await;
            seen.push((back, relay.passed(), start.elapsed()));
        }
        seen
    };
    assert_eq!(run(4).await, run(4).await);
    assert_ne!(run(4).await, run(5).await);
}

#[tokio::test(start_paused = true)]
async fn connections_are_refused_and_cut_on_request() {
    let relay = Faults::new(6).refuse(1).relay(&echo());
    assert_eq!(sent_back(&mut dial(&relay).await, 10).await, 0);

    let relay = Faults::new(7).relay(&echo());
    let mut stream = dial(&relay).await;
    stream.write_all(b"a").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');
    relay.cut();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let mut stream = dial(&relay).await;
    stream.write_all(b"b").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'b');
    drop(relay);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
