//! The recorded conversations over sockets: our server in place of the recorded one, and our client.

use std::collections::BTreeMap;

use bytes::Bytes;
use iip_core::client::Client;
use iip_core::server::{HandlerError, Incoming, Server, handler_fn};
use tokio::net::TcpStream;

use crate::captures::{Recorded, conversation};
use crate::peer::{FakeServer, Peer, data, frame};
use crate::running::{Running, echo_handler, limited};

/// What the recorded server did.
async fn recorded_server() -> Running {
    let server = Server::builder()
        .handler("/echo", echo_handler())
        .handler("/slow", echo_handler())
        .handler("/empty", handler_fn(|_| async { Ok(Bytes::new()) }))
        .handler(
            "/fail",
            handler_fn(|_| async { Err(HandlerError::new("boom")) }),
        )
        .handler(
            "/panic",
            handler_fn(|request: Incoming| async move {
                assert!(request.data().is_empty(), "on purpose");
                Ok(Bytes::new())
            }),
        )
        .handler(
            "/query",
            handler_fn(|request: Incoming| async move {
                let value = |name| {
                    request
                        .path()
                        .query_value(name)
                        .unwrap_or_default()
                        .into_owned()
                };
                Ok(format!("{}|{}", value("id"), value("name")).into())
            }),
        );
    Running::start(server).await
}

const CONVERSATIONS: [&str; 8] = [
    "echo",
    "echo_empty",
    "query",
    "fail",
    "panic",
    "nohandler",
    "pipeline",
    "channels",
];

/// The bytes of the recorded answers, by channel: across channels, the recorded order is one of several.
fn answers(recorded: &[Recorded]) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut channels: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    for recorded in recorded.iter().filter(|recorded| !recorded.from_client) {
        let channel = channels.entry(recorded.frame.channel().0).or_default();
        channel.push(recorded.bytes.clone());
    }
    channels
}

async fn received(peer: &mut Peer<TcpStream>, count: usize) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut channels: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    for _ in 0..count {
        let answer = peer.expect().await;
        let channel = answer.channel().0;
        let bytes = frame(answer.kind().as_u8(), answer.path(), channel, data(&answer));
        channels.entry(channel).or_default().push(bytes);
    }
    channels
}

#[tokio::test]
async fn our_server_answers_the_recorded_bytes() {
    let server = recorded_server().await;
    for name in CONVERSATIONS {
        let recorded = conversation(name);
        let expected = answers(&recorded);
        let count = recorded
            .iter()
            .filter(|recorded| !recorded.from_client)
            .count();
        let sent: Vec<_> = recorded
            .iter()
            .filter(|recorded| recorded.from_client)
            .collect();
        // All at once, and then each when what came before it is answered, as it was recorded.
        let mut peer = Peer::connect(&server.address).await;
        let together: Vec<u8> = sent
            .iter()
            .flat_map(|recorded| recorded.bytes.clone())
            .collect();
        peer.send(together).await;
        assert_eq!(received(&mut peer, count).await, expected, "{name}");

        let mut peer = Peer::connect(&server.address).await;
        let mut owed = 0;
        let mut got: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for recorded in &recorded {
            if recorded.from_client {
                peer.send(&recorded.bytes).await;
            } else {
                owed += 1;
                for (channel, mut frames) in received(&mut peer, 1).await {
                    got.entry(channel).or_default().append(&mut frames);
                }
            }
        }
        assert_eq!((got, owed), (expected, count), "{name}");
        peer.finish().await;
        assert!(peer.rest().await.is_empty(), "{name}: more than recorded");
    }
}

/// The reference does not answer a deletion; we do.
#[tokio::test]
async fn our_server_answers_a_deletion() {
    let server = recorded_server().await;
    let recorded = conversation("delete");
    let mut peer = Peer::connect(&server.address).await;
    for recorded in recorded.iter().filter(|recorded| recorded.from_client) {
        peer.send(&recorded.bytes).await;
        let answer = peer.expect().await;
        if recorded.path() == "/sys/delete_channel" {
            assert_eq!(&data(&answer)[..], br#"{"code":0}"#);
        }
    }
}

/// Plays the recorded server. Channels are granted and requests answered with the recorded bytes; where our client chose
/// another channel than the recorded one, only the number is changed.
async fn play(mut peer: Peer<TcpStream>, recorded: Vec<Recorded>) {
    let position = |wanted: &Recorded| {
        let channel = wanted.frame.channel();
        let before = recorded
            .iter()
            .take_while(|other| !std::ptr::eq(*other, wanted));
        before
            .filter(|other| other.from_client && other.frame.channel() == channel)
            .count()
    };
    let answer_to = |request: &Recorded| {
        let channel = request.frame.channel();
        let mut on_channel = recorded
            .iter()
            .filter(|other| !other.from_client && other.frame.channel() == channel);
        on_channel
            .nth(position(request))
            .expect("a recorded answer")
    };
    let mut used = vec![false; recorded.len()];
    while let Some(request) = peer.next().await {
        let found = recorded.iter().enumerate().find(|(index, recorded)| {
            !used[*index]
                && recorded.from_client
                && recorded.frame.path() == request.path()
                && data(&recorded.frame) == data(&request)
        });
        let (index, known) = found.unwrap_or_else(|| panic!("never recorded: {request:?}"));
        used[index] = true;
        assert_eq!(request.kind(), known.frame.kind());
        let answer = answer_to(known);
        let bytes = frame(
            answer.frame.kind().as_u8(),
            answer.frame.path(),
            request.channel().0,
            data(&answer.frame),
        );
        if request.channel() == known.frame.channel() {
            assert_eq!(bytes, answer.bytes);
        }
        peer.send(bytes).await;
    }
}

#[tokio::test]
async fn our_plain_client_is_satisfied_by_the_recorded_bytes() {
    for name in CONVERSATIONS.into_iter().filter(|name| *name != "pipeline") {
        let server = FakeServer::bind().await;
        let address = server.address.parse().unwrap();
        let playing =
            tokio::spawn(async move { play(server.accept().await, conversation(name)).await });
        let builder = Client::builder(address).plain().max_connections(1);
        let client = builder.connect().await.unwrap();
        let recorded = conversation(name);
        let requests = recorded
            .iter()
            .filter(|recorded| recorded.from_client && recorded.frame.channel().0 > 0);
        for request in requests {
            let answer = limited(client.call(request.path(), data(&request.frame)))
                .await
                .unwrap();
            let expected = recorded.iter().any(|other| {
                !other.from_client
                    && other.frame.channel() == request.frame.channel()
                    && data(&other.frame) == answer
            });
            assert!(expected, "{name}: {answer:?}");
        }
        drop(client);
        limited(playing).await.unwrap();
    }
}
