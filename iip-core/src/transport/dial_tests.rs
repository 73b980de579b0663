use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::addr::Address;
use super::dial::{ConnectError, connect};
use super::io::{PeerAddr, Stream};
use super::memory::listener;
use super::tcp::TcpOptions;

const LONG: Duration = Duration::from_secs(60);

async fn dial(text: &str, timeout: Duration) -> Result<(Stream, PeerAddr), ConnectError> {
    connect(&text.parse().unwrap(), timeout, &TcpOptions::default()).await
}

/// A port on which nobody listens, at least for now.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

#[tokio::test]
async fn an_ip_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stream, peer) = dial(&address.to_string(), LONG).await.unwrap();
    assert_eq!(peer, PeerAddr::Tcp(address));
}

#[tokio::test]
async fn every_address_of_a_name() {
    // On many machines the name is ::1 first, where nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stream, peer) = dial(&format!("localhost:{}", address.port()), LONG)
        .await
        .unwrap();
    assert_eq!(peer, PeerAddr::Tcp(address));
}

#[tokio::test]
async fn a_memory_address() {
    let (_listener, connector) = listener();
    let (_stream, peer) = dial(&connector.address().to_string(), LONG).await.unwrap();
    assert_eq!(peer, PeerAddr::Memory);
}

#[tokio::test]
async fn the_error_names_address_and_cause() {
    let closed = closed_port().await;
    let error = dial(&closed.to_string(), LONG).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("connect to iip://{closed}: Connection refused")),
        "{text}"
    );
    assert!(error.source().is_some());
    assert!(!error.is_timeout() && !error.is_resolve());
    assert_eq!(error.address(), &Address::from(closed));

    let text = dial(&format!("localhost:{}", closed.port()), LONG)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains(&format!("{closed}: Connection refused")),
        "{text}"
    );

    let text = dial("unix:///nowhere/at/all", LONG)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("connect to unix:///nowhere/at/all: No such file"),
        "{text}"
    );

    let text = dial("memory://nobody", LONG).await.unwrap_err().to_string();
    assert!(text.contains("start the server first"), "{text}");

    let text = dial("127.0.0.1:0", LONG).await.unwrap_err().to_string();
    assert!(
        text.contains("port 0 can be listened on but not dialed"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_limit_ends_it() {
    let (_listener, connector) = listener();
    let mut open = Vec::new();
    for _ in 0..128 {
        open.push(connector.connect().await.unwrap());
    }
    let address = connector.address().to_string();
    assert!(
        dial(&address, Duration::ZERO)
            .await
            .unwrap_err()
            .is_timeout()
    );
    let error = dial(&address, Duration::from_secs(5)).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_resolve());
    assert_eq!(
        error.to_string(),
        format!("connect to {address}: no answer within 5s (setting: connect_timeout)")
    );
}

#[tokio::test]
async fn a_limit_beyond_the_clock_is_no_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    dial(&listener.local_addr().unwrap().to_string(), Duration::MAX)
        .await
        .unwrap();
}
