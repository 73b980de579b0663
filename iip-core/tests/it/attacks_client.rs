//! Hostile servers: no caller ever gets what is not its own, and the client goes on with the next server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use iip_core::client::{Client, ClientBuilder};
use iip_core::session::{Format, Payload};
use iip_core::wire::{Frame, Path};
use iip_core::{Error, ErrorKind, Outcome};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::peer::{FakeServer, GoAway, Peer, data, frame, header, text};
use crate::running::{eventually, limited, spawn_call};

fn builder(server: &FakeServer) -> ClientBuilder {
    Client::builder(server.address.parse().unwrap())
}

async fn connected(server: &FakeServer) -> (Client, Peer<TcpStream>) {
    let (client, peer) = tokio::join!(builder(server).connect(), async {
        let mut peer = server.accept().await;
        peer.greet(2048).await;
        peer
    });
    (client.unwrap(), peer)
}

/// A client with one call under way: the call, its request, and the server's side of the connection.
struct Victim {
    client: Client,
    call: JoinHandle<Result<Bytes, Error>>,
    request: Frame,
    peer: Peer<TcpStream>,
}

impl Victim {
    async fn new(server: &FakeServer) -> Self {
        let (client, mut peer) = connected(server).await;
        let call = spawn_call(&client, "/x", "x");
        let request = peer.expect().await;
        Self {
            client,
            call,
            request,
            peer,
        }
    }

    fn channel(&self) -> u32 {
        self.request.channel().0
    }

    /// The client closes, says so, and its call may have run.
    async fn closes(mut self) -> GoAway {
        let notice = self.peer.expect_goaway().await;
        let error = limited(self.call).await.unwrap().unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Closed, Outcome::Unknown)
        );
        assert!(error.to_string().contains(&notice.text), "{error}");
        notice
    }
}

/// A14, A15, A16, A17: whatever a server must not send.
#[tokio::test]
async fn frames_that_no_server_sends() {
    let server = FakeServer::bind().await;
    type Attack = (&'static str, fn(u32) -> Vec<u8>);
    let attacks: [Attack; 14] = [
        ("never granted", |_| frame(5, "/", 5000, "x")),
        ("none is owed", |channel| frame(5, "/", channel - 1, "x")),
        ("none is owed", |_| frame(5, "/", 0, "{}")),
        ("kind 6", |channel| frame(6, "/", channel, "x")),
        ("kind 7", |channel| frame(7, "/", channel, "x")),
        ("kind 4", |channel| frame(4, "/", channel, "x").repeat(2)),
        ("kind 0", |channel| frame(0, "/", channel, "x")),
        ("kind 3", |channel| frame(3, "/", channel, "x")),
        ("kind 9", |channel| frame(9, "/", channel, "x")),
        ("kind 255", |channel| frame(255, "/", channel, "x")),
        ("no data", |channel| header(5, "/", channel, 0)),
        ("4294967295", |channel| header(5, "/", channel, u32::MAX)),
        ("empty path", |channel| frame(5, "", channel, "x")),
        ("2048", |_| vec![5; 3000]),
    ];
    for (says, attack) in attacks {
        let mut victim = Victim::new(&server).await;
        // One that was used, so that its number is known.
        let used = victim.client.clone();
        let used = tokio::spawn(async move { used.call("/used", "x").await });
        let second = victim.peer.expect().await;
        victim
            .peer
            .send(frame(5, "/", second.channel().0, "y"))
            .await;
        assert_eq!(limited(used).await.unwrap().unwrap(), "y");
        let channel = match says {
            "none is owed" => second.channel().0 + 1,
            _ => victim.channel(),
        };
        victim.peer.send(attack(channel)).await;
        let notice = victim.closes().await;
        assert!(notice.text.contains(says), "{says}: {notice:?}");
        assert_eq!(notice.code, 1);
    }
}

#[tokio::test]
async fn kind_eight_ends_a_clients_connection() {
    let server = FakeServer::bind().await;
    let mut victim = Victim::new(&server).await;
    victim.peer.send([8]).await;
    let error = limited(victim.call).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Closed, Outcome::Unknown)
    );
    // The client dials again by itself.
    server.accept().await.greet(8).await;
    eventually("a new connection", || victim.client.connections() == 1).await;
}

/// Answers every request twice; counts the requests.
async fn answer_twice(server: &FakeServer, requests: Arc<AtomicUsize>, together: bool) {
    loop {
        let mut peer = server.accept().await;
        let requests = Arc::clone(&requests);
        tokio::spawn(async move {
            peer.greet(2048).await;
            let mut before: Vec<Vec<u8>> = Vec::new();
            while let Some(request) = peer.next().await {
                if request.channel().0 == 1 {
                    continue;
                }
                let mut answer = data(&request).to_vec();
                if answer.first() == Some(&0x0f) {
                    answer[1] = 0x80;
                }
                let answer = frame(5, "/", request.channel().0, answer);
                let count = requests.fetch_add(1, Ordering::Relaxed);
                // The second time at once, or when other calls have begun.
                let mut output = answer.clone();
                match together {
                    true if count % 10 == 9 => output.extend_from_slice(&answer),
                    false if count % 50 == 49 => output.extend(before.drain(..).flatten()),
                    false => before.push(answer),
                    _ => {}
                }
                if !peer.try_send(&output).await {
                    break;
                }
            }
        });
    }
}

/// A16: answers given twice never reach another call. Typed calls have a number to tell.
#[tokio::test]
async fn a_thousand_callers_of_a_server_that_answers_twice() {
    for together in [true, false] {
        let server = FakeServer::bind().await;
        let client = builder(&server).wait_for_ready().connect_lazy();
        let requests = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn({
            let requests = Arc::clone(&requests);
            async move { answer_twice(&server, requests, together).await }
        });
        let callers: Vec<_> = (0..1000)
            .map(|caller| {
                let client = client.clone();
                tokio::spawn(async move {
                    let path = Path::from_static("/typed.Service/Method");
                    let mut answered = 0;
                    for call in 0..4 {
                        let text = format!("caller {caller} call {call}");
                        let payload = Payload::Whole(text.clone().into());
                        let deadline = std::time::Instant::now() + Duration::from_secs(60);
                        let result =
                            client.call_until(&path, Format::Enveloped, payload, Some(deadline));
                        match result.await {
                            Ok(answer) => {
                                assert_eq!(answer, text);
                                answered += 1;
                            }
                            Err(error) => assert_eq!(error.kind(), &ErrorKind::Closed, "{error}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        let mut answered = 0;
        for caller in callers {
            answered += limited(caller).await.unwrap();
        }
        assert!(
            answered > 0 && requests.load(Ordering::Relaxed) >= answered,
            "{answered}"
        );
        serving.abort();
    }
}

/// A47: numbers and texts of any size.
#[tokio::test]
async fn a_hello_that_is_none() {
    let server = FakeServer::bind().await;
    let huge = format!(
        "{{\"code\":0,\"v\":1,\"agent\":\"{}\"}}",
        "a".repeat(70_000)
    );
    let deep = "[".repeat(60_000);
    let answers: [(&str, &str); 4] = [
        (&huge, "cannot be read"),
        (r#"{"code":0,"v":2}"#, "version"),
        // Not native, and then no channel either.
        (&deep, "cannot be read"),
        ("{}", "cannot be read"),
    ];
    for (answer, says) in answers {
        let (error, ()) = tokio::join!(builder(&server).connect(), async {
            let mut peer = server.accept().await;
            assert_eq!(peer.expect().await.path(), b"/sys/hello");
            peer.try_send(frame(5, "/sys/hello", 0, answer)).await;
            peer.try_send(frame(5, "/sys/new_channel", 0, answer)).await;
            peer.rest().await;
        });
        let error = error.unwrap_err();
        assert_eq!(
            (error.kind(), error.outcome()),
            (&ErrorKind::Connect, Outcome::NotSent)
        );
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_hello_with_numbers_beyond_all_bounds() {
    let server = FakeServer::bind().await;
    let huge = "9223372036854775807";
    let hello = format!(
        "{{\"code\":0,\"v\":1,\"window\":{huge},\"max_message\":{huge},\"channels\":{huge},\"timeout_us\":{huge}}}"
    );
    let (client, mut peer) = tokio::join!(builder(&server).connect(), async {
        let mut peer = server.accept().await;
        peer.expect().await;
        peer.send(frame(5, "/sys/hello", 0, hello)).await;
        peer
    });
    let client = client.unwrap();
    assert_eq!(peer.expect().await.path(), b"/sys/new_channel");
    assert_eq!(peer.expect().await.path(), b"/sys/events");
    // The client uses as many channels as it wants itself.
    let calls: Vec<_> = (0..2047).map(|_| spawn_call(&client, "/x", "x")).collect();
    let mut highest = 0;
    for _ in &calls {
        highest = highest.max(peer.expect().await.channel().0);
    }
    assert_eq!(highest, 2048);
    for call in calls {
        call.abort();
    }
}

#[tokio::test]
async fn grants_that_are_none() {
    let server = FakeServer::bind().await;
    for number in [
        "1",
        "2048",
        "4294967295",
        "99999999999999999999",
        "4294967296",
    ] {
        let (client, mut peer) =
            tokio::join!(builder(&server).max_connections(1).connect(), async {
                let mut peer = server.accept().await;
                assert_eq!(peer.expect().await.path(), b"/sys/hello");
                let hello = r#"{"code":0,"v":1,"channels":8}"#;
                peer.send(frame(5, "/sys/hello", 0, hello)).await;
                peer
            });
        let client = client.unwrap();
        let grant = format!("{{\"code\":0,\"channel_id\":{number}}}");
        peer.send(frame(5, "/sys/new_channel", 0, &grant)).await;
        match number {
            // Far away, but as good as any.
            "2048" => assert_eq!(client.connections(), 1),
            // Those that are no number refuse the request.
            "99999999999999999999" | "4294967296" => assert_eq!(client.connections(), 1),
            _ => {
                let rest = peer.rest().await;
                assert!(rest.iter().all(|frame| frame.channel().0 < 2), "{number}");
                continue;
            }
        }
        assert_eq!(peer.expect().await.path(), b"/sys/new_channel");
        assert_eq!(peer.expect().await.path(), b"/sys/events");
        let call = spawn_call(&client, "/x", "x");
        let request = peer.expect().await;
        assert_eq!(text(&request), "x");
        peer.send(frame(5, "/", request.channel().0, "y")).await;
        assert_eq!(limited(call).await.unwrap().unwrap(), "y");
    }
}

/// Events that no server sends: unreadable records, and far too many pings.
#[tokio::test]
async fn events_that_are_none() {
    let server = FakeServer::bind().await;
    let event = |records: &[u8]| frame(6, "/", 1, [&[0x0f, 0x80, 0, 0], records].concat());
    let ping = [18, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let attacks = [
        (event(&[18, 3, 0, 0, 0]), 1),
        (event(&[77, 0]), 1),
        (event(&[18, 255, 255, 255, 255, 15]), 1),
        (frame(6, "/", 1, [0x0f, 0x80, 0, 1]), 1),
        (frame(6, "/", 1, "text"), 1),
        (event(&ping).repeat(20_000), 2),
    ];
    for (bytes, code) in attacks {
        let mut victim = Victim::new(&server).await;
        victim.peer.try_send(bytes).await;
        let notice = victim.closes().await;
        assert_eq!(notice.code, code, "{notice:?}");
    }
}

/// A response that is too large fails its call; what is left of it is read past, and its channel is used again.
#[tokio::test]
async fn a_response_beyond_all_bounds() {
    let server = FakeServer::bind().await;
    let mut victim = Victim::new(&server).await;
    let channel = victim.channel();
    let piece = frame(6, "/", channel, vec![1; 32 * 1024]);
    victim.peer.send(frame(4, "/", channel, "begun")).await;
    victim.peer.send(piece.repeat(160)).await;
    let error = limited(&mut victim.call).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::TooLarge, Outcome::Unknown)
    );
    for round in 0..20 {
        victim.peer.send(piece.repeat(32)).await;
        if round == 19 {
            victim.peer.send(frame(7, "/", channel, "end")).await;
        }
        let call = spawn_call(&victim.client, "/x", "x");
        let request = victim.peer.expect().await;
        assert_ne!(request.channel().0, channel);
        victim
            .peer
            .send(frame(5, "/", request.channel().0, "y"))
            .await;
        assert_eq!(limited(call).await.unwrap().unwrap(), "y");
    }
    assert_eq!(victim.client.connections(), 1);
}

/// A plain server is known by what it answers; one that mixes up its answers is noticed by the path.
#[tokio::test]
async fn a_plain_server_that_answers_another_request() {
    let server = FakeServer::bind().await;
    let (client, mut peer) = tokio::join!(builder(&server).connect(), async {
        let mut peer = server.accept().await;
        peer.expect().await;
        peer.send(frame(
            5,
            "/sys/hello",
            0,
            r#"{"code":102,"message":"handle error"}"#,
        ))
        .await;
        peer.grant(1).await;
        peer
    });
    let client = client.unwrap();
    let call = spawn_call(&client, "/x?y=z", "x");
    let request = peer.expect().await;
    assert_eq!(
        (request.path(), request.kind().as_u8()),
        (&b"/x?y=z"[..], 1)
    );
    peer.send(frame(5, "/x", request.channel().0, "y")).await;
    assert_eq!(limited(call).await.unwrap().unwrap(), "y");
    let call = spawn_call(&client, "/x", "x");
    let request = peer.expect().await;
    peer.send(frame(5, "/other", request.channel().0, "y"))
        .await;
    let error = limited(call).await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (&ErrorKind::Closed, Outcome::Unknown)
    );
    assert!(error.to_string().contains("another path"), "{error}");
    assert!(peer.rest().await.is_empty());
}
