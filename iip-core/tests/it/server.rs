//! Listeners, routes, and how a server stops.

use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use iip_core::ErrorKind;
use iip_core::client::Client;
use iip_core::server::{Incoming, Listener, ServerBuilder, handler_fn};
use iip_core::session::ErrorReply;
use iip_core::transport::{Address, PeerAddr, memory_listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::peer::{Peer, frame, goaway, text};
use crate::running::{Running, echo, echo_handler, eventually, gated, limited, spawn_call};

async fn client_of(address: &Address) -> Client {
    Client::builder(address.clone()).connect().await.unwrap()
}

/// A path for a socket that no other test has.
fn socket_path() -> std::path::PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("iip-{}-{number}.sock", std::process::id()))
}

fn who() -> ServerBuilder {
    echo().handler(
        "/who",
        handler_fn(|request: Incoming| async move {
            let text = match &request.peer().address {
                PeerAddr::Unix { pid, .. } => format!("unix {pid:?}"),
                PeerAddr::Tcp(address) => format!("tcp {}", address.ip()),
                other => other.to_string(),
            };
            Ok(text.into())
        }),
    )
}

#[tokio::test]
async fn one_server_has_listeners_of_every_kind() {
    let (memory, connector) = memory_listener();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let std_tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let std_unix = socket_path();
    let user_unix = StdUnixListener::bind(&std_unix).unwrap();
    let bound = socket_path();
    let server = who()
        .listener(memory)
        .listener(tcp)
        .listener(Listener::try_from(std_tcp).unwrap())
        .listener(Listener::try_from(user_unix).unwrap())
        .bind(&format!("unix://{}", bound.display()))
        .await
        .unwrap();
    let addresses: Vec<_> = server.local_addrs().cloned().collect();
    assert_eq!(addresses.len(), 5);
    assert_eq!(addresses[0], connector.address());
    assert!(addresses[1].port().unwrap() > 0);
    assert_eq!(addresses[4].unix_path(), Some(&*bound));
    assert_eq!(server.local_addr(), addresses.last());
    assert_eq!(server.statistics().admission().open, 0);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let signal = async {
            let _ = stopped.await;
        };
        server
            .serve_with_shutdown(signal, Duration::from_secs(60))
            .await
    });
    let unix = format!("unix Some({})", std::process::id());
    let expected = ["memory", "tcp 127.0.0.1", "tcp 127.0.0.1", &unix, &unix];
    for (address, expected) in addresses.iter().zip(expected) {
        let client = client_of(address).await;
        assert_eq!(client.call("/who", "x").await.unwrap(), expected);
    }
    stop.send(()).unwrap();
    let report = limited(serving).await.unwrap();
    assert_eq!((report.cut_calls, report.cut_connections), (0, 0));
    for address in &addresses {
        let builder = Client::builder(address.clone());
        assert_eq!(
            builder.connect().await.unwrap_err().kind(),
            &ErrorKind::Connect
        );
    }
    // The server's own file is removed, the user's is not.
    assert!(!bound.exists());
    assert!(std_unix.exists());
    std::fs::remove_file(std_unix).unwrap();
}

#[tokio::test]
async fn mistakes_are_told_when_the_server_is_made() {
    let mistakes: [(ServerBuilder, &str); 7] = [
        (
            echo().handler("/echo", echo_handler()),
            "\"/echo\" has a handler already",
        ),
        (
            echo().handler("echo", echo_handler()),
            "must begin with '/'",
        ),
        (echo().handler("/a/../b", echo_handler()), "dot segments"),
        (echo().handler("/a\0", echo_handler()), "0x00"),
        (
            echo().handler("/a?x=1", echo_handler()),
            "leave the query out",
        ),
        (
            echo().handler("/sys/hello", echo_handler()),
            "belongs to the protocol",
        ),
        (
            echo().handler("/sys/new_channel", echo_handler()),
            "belongs to the protocol",
        ),
    ];
    for (builder, text) in mistakes {
        let error = builder.bind("127.0.0.1:0").await.err().expect("an error");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = echo().build().err().expect("an error");
    assert!(error.to_string().contains("bind"), "{error}");
    let error = echo().bind("not an address").await.err().expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = echo().bind(&address).await.err().expect("an error");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn the_fallback_answers_every_other_path() {
    let server = echo().fallback(handler_fn(|request: Incoming| async move {
        Ok(format!("nobody at {}", request.path()).into())
    }));
    let server = Running::start(server).await;
    let client = server.client().await;
    assert_eq!(client.call("/echo", "x").await.unwrap(), "x");
    assert_eq!(
        client.call("/a/b?c=d", "x").await.unwrap(),
        "nobody at /a/b?c=d"
    );
    // What is no path is not given to it.
    let mut peer = Peer::plain(&server.address, 1).await;
    let refused = r#"{"code":102,"message":"handle error"}"#;
    assert_eq!(peer.call("/a//b", 1, "x").await, refused);
    assert_eq!(
        peer.call("/sys/other", 1, "{}").await,
        "nobody at /sys/other"
    );
}

#[tokio::test]
async fn a_server_announces_its_default_timeout() {
    for (timeout, seconds) in [(Some(Duration::from_secs(7)), Some(7)), (None, None)] {
        let server = Running::start(echo().default_timeout(timeout)).await;
        let client = server.client().await;
        let connection = client.ready(None).await.unwrap();
        assert!(connection.is_native());
        assert_eq!(
            connection.default_timeout(),
            seconds.map(Duration::from_secs)
        );
        assert_eq!(connection.max_message(), 4 * 1024 * 1024);
        let plain = server.plain_client().await;
        let connection = plain.ready(None).await.unwrap();
        assert!(!connection.is_native());
        assert_eq!(connection.default_timeout(), None);
        assert_eq!(connection.max_message(), 16 * 1024 * 1024);
    }
}

#[tokio::test]
async fn a_graceful_stop_answers_every_call_that_is_in_a_handler() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let address = server.address.clone();
    let mut calls = Vec::new();
    let mut clients = Vec::new();
    for client in [server.client().await, server.plain_client().await] {
        calls.extend((0..50).map(|_| spawn_call(&client, "/held", "x")));
        clients.push(client);
    }
    gate.entered_by(100).await;
    let stopping = server.signal();
    eventually("the end of listening", || {
        std::net::TcpStream::connect(address.trim_start_matches("iip://")).is_err()
    })
    .await;
    assert!(!stopping.is_finished());
    gate.release(100);
    for call in calls {
        assert_eq!(limited(call).await.unwrap().unwrap(), "x");
    }
    let report = limited(stopping).await.unwrap();
    assert_eq!((report.cut_calls, report.cut_connections), (0, 0));
    eventually("the end of the connections", || {
        clients.iter().all(|client| client.connections() == 0)
    })
    .await;
}

#[tokio::test]
async fn requests_behind_others_are_answered_too() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let mut peer = Peer::plain(&server.address, 1).await;
    for number in 0..5 {
        peer.send(frame(1, "/held", 1, format!("{number}"))).await;
    }
    gate.entered().await;
    let stopping = server.signal();
    gate.release(5);
    for number in 0..5 {
        assert_eq!(text(&peer.expect().await), number.to_string());
    }
    assert!(peer.rest().await.is_empty());
    drop(peer);
    assert_eq!(limited(stopping).await.unwrap().cut_calls, 0);
}

#[tokio::test]
async fn a_native_client_is_told_and_its_late_requests_are_served() {
    let server = Running::start(echo()).await;
    let mut peer = Peer::native(&server.address, 8).await;
    let stopping = server.signal();
    let notice = goaway(&peer.expect().await).expect("GOAWAY");
    assert_eq!((notice.code, notice.channel), (0, 0));
    // Sent before the client knew.
    assert_eq!(peer.call("/echo", 2, "late").await, "late");
    assert!(!stopping.is_finished());
    // ACK
    peer.send(frame(2, "/", 1, [0x0f, 0, 0, 0, 21, 0])).await;
    let end = peer.expect().await;
    assert_eq!((end.kind().as_u8(), end.channel().0), (7, 1));
    assert!(peer.rest().await.is_empty());
    drop(peer);
    assert_eq!(limited(stopping).await.unwrap().cut_connections, 0);
}

#[tokio::test]
async fn a_handler_that_never_ends_is_cut_and_its_client_is_told() {
    let (server, gate) = gated();
    let grace = Duration::from_millis(50);
    let server = Running::start_with_grace(server, "127.0.0.1:0", grace).await;
    let client = server.client().await;
    let mut peer = Peer::plain(&server.address, 1).await;
    peer.send(frame(1, "/held", 1, "x")).await;
    peer.send(frame(1, "/held", 1, "waits behind it")).await;
    let held = spawn_call(&client, "/held", "x");
    gate.entered_by(2).await;
    let stopping = server.signal();
    let stopped = r#"{"code":-1,"message":"handler fail:the server stopped"}"#;
    assert_eq!(limited(held).await.unwrap().unwrap(), stopped);
    assert_eq!(text(&peer.expect().await), stopped);
    let refused = ErrorReply::parse(text(&peer.expect().await).as_bytes()).unwrap();
    assert_eq!(refused.code, ErrorReply::DRAINING);
    assert!(peer.rest().await.is_empty());
    drop(peer);
    let report = limited(stopping).await.unwrap();
    assert_eq!((report.cut_calls, report.cut_connections), (2, 0));
}

#[tokio::test]
async fn a_dropped_server_closes_everything() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let address = server.address.trim_start_matches("iip://").to_owned();
    let client = server.client().await;
    let held = spawn_call(&client, "/held", "x");
    let mut peer = Peer::plain(&address, 1).await;
    gate.entered().await;
    server.kill().await;
    let error = limited(held).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Closed);
    assert!(peer.rest().await.is_empty());
    assert!(TcpStream::connect(&address).await.is_err());
    // The handler is gone too: nobody holds its permit.
    gate.release(1);
    eventually("the end of the handler", || gate.handlers() == 0).await;
}

/// A client that has ended its direction still gets all of its answers, whatever their size.
#[tokio::test]
async fn a_plain_client_may_half_close() {
    let (server, gate) = gated();
    let server = Running::start(server).await;
    let mut peer = Peer::plain(&server.address, 40).await;
    let large = "y".repeat(300_000);
    for channel in 1..=40 {
        let path = if channel % 2 == 0 { "/held" } else { "/echo" };
        peer.send(frame(1, path, channel, &large)).await;
    }
    peer.send(frame(1, "/held", 1, "behind another")).await;
    peer.finish().await;
    gate.release(21);
    let answers = peer.rest().await;
    assert_eq!(answers.len(), 41);
    let whole = answers.iter().filter(|answer| text(answer) == large);
    assert_eq!(whole.count(), 40);
}

/// Handlers that use the processor do not hold up each other: once their method is known to be slow, they run on every
/// core.
#[test]
fn slow_handlers_run_at_the_same_time() {
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let inside = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(AtomicUsize::new(0));
    let builder = {
        let (inside, together) = (Arc::clone(&inside), Arc::clone(&together));
        echo().handler(
            "/burn",
            handler_fn(move |request: Incoming| {
                let (inside, together) = (Arc::clone(&inside), Arc::clone(&together));
                async move {
                    together.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let start = std::time::Instant::now();
                    while start.elapsed() < Duration::from_millis(1) {
                        together.fetch_max(inside.load(Ordering::SeqCst), Ordering::SeqCst);
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(request.into_data())
                }
            }),
        )
    };
    let running = server.block_on(Running::start(builder));
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    client.block_on(async {
        let client = running.client().await;
        // On a busy machine the second thread may come late.
        for _ in 0..300 {
            if together.load(Ordering::SeqCst) == 2 {
                break;
            }
            let calls: Vec<_> = (0..32).map(|_| spawn_call(&client, "/burn", "x")).collect();
            for call in calls {
                assert_eq!(
                    limited(call).await.unwrap().unwrap(),
                    Bytes::from_static(b"x")
                );
            }
        }
    });
    assert_eq!(together.load(Ordering::SeqCst), 2);
    server.block_on(running.kill());
}
