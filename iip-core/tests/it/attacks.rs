//! Hostile clients. Whatever they do, who behaves on another connection is served without a single error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use iip_core::client::Client;
use iip_core::server::{Incoming, ServerBuilder, handler_fn};
use iip_core::session::{ErrorReply, Limits};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::{Peer, data, frame, goaway, header, text};
use crate::running::{Running, echo, limited};

const MIB: u32 = 1024 * 1024;
const REFUSED: &str = r#"{"code":102,"message":"handle error"}"#;

/// A server under attack, and a client that goes on calling it meanwhile.
struct Arena {
    server: Running,
    stop: Arc<AtomicBool>,
    polite: JoinHandle<usize>,
}

impl Arena {
    async fn new() -> Self {
        Self::with(echo(), "127.0.0.1:0").await
    }

    async fn with(builder: ServerBuilder, address: &str) -> Self {
        let server = Running::start_on(builder, address).await;
        let client = server.client().await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let polite = tokio::spawn(async move {
            let mut answered = 0;
            while !stopped.load(Ordering::Relaxed) {
                let text = format!("polite {answered}");
                assert_eq!(client.call("/echo", text.clone()).await.unwrap(), text);
                answered += 1;
                sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(client.connections(), 1);
            answered
        });
        Self {
            server,
            stop,
            polite,
        }
    }

    async fn plain(&self, channels: u32) -> Peer<TcpStream> {
        Peer::plain(&self.server.address, channels).await
    }

    async fn native(&self) -> Peer<TcpStream> {
        Peer::native(&self.server.address, 64).await
    }

    /// The server is well.
    async fn finish_unharmed(self) {
        let fresh = self.server.client().await;
        assert_eq!(fresh.call("/echo", "fresh").await.unwrap(), "fresh");
        self.stop.store(true, Ordering::Relaxed);
        assert!(limited(self.polite).await.unwrap() > 0);
        drop(fresh);
        let report = self.server.stop().await;
        assert_eq!((report.cut_calls, report.cut_connections), (0, 0));
    }
}

/// A connection without a socket, for virtual time.
async fn in_memory(server: &Running) -> Peer<DuplexStream> {
    let address = server.address.parse().unwrap();
    let tcp = iip_core::transport::TcpOptions::default();
    let connected = iip_core::transport::connect(&address, Duration::from_secs(1), &tcp);
    match connected.await.unwrap().0 {
        iip_core::transport::Stream::Memory(stream) => Peer::new(stream),
        other => panic!("{other:?}"),
    }
}

fn code(text: &str) -> Option<i64> {
    ErrorReply::parse(text.as_bytes()).map(|reply| reply.code)
}

/// The bytes end the connection with a GOAWAY that says so.
async fn ends(arena: &Arena, bytes: impl AsRef<[u8]>, code: u64, says: &str) {
    let mut peer = arena.native().await;
    peer.send(&bytes).await;
    let notice = peer.expect_goaway().await;
    assert_eq!(notice.code, code, "{notice:?}");
    assert!(notice.text.contains(says), "{notice:?}");
    // A plain peer cannot be told.
    let mut peer = arena.plain(1).await;
    peer.send(&bytes).await;
    assert!(
        peer.rest()
            .await
            .iter()
            .all(|frame| goaway(frame).is_none())
    );
}

/// A01: a client that says nothing, or dribbles.
#[tokio::test(start_paused = true)]
async fn slow_headers_are_not_waited_for() {
    let arena = Arena::with(echo(), "memory://a01").await;
    let start = Instant::now();
    let mut silent = in_memory(&arena.server).await;
    let mut slow = in_memory(&arena.server).await;
    let mut native = in_memory(&arena.server).await;
    native.say_hello(4).await;
    let dribble = frame(1, "/echo/which/takes/a/long/time", 0, "x");
    let first = tokio::spawn(async move {
        for byte in dribble {
            if !slow.try_send([byte]).await {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        slow.rest().await
    });
    assert!(silent.rest().await.is_empty());
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(limited(first).await.unwrap().is_empty());
    let start = Instant::now();
    native.send([1, b'/']).await;
    let notice = native.expect_goaway().await;
    assert_eq!((notice.code, start.elapsed().as_secs()), (3, 5));
    assert!(notice.text.contains("header"), "{notice:?}");
    drop((silent, native));
    arena.finish_unharmed().await;
}

/// A03: a path that does not end.
#[tokio::test]
async fn an_endless_path() {
    let arena = Arena::new().await;
    let mut path = vec![1];
    path.resize(1 + 2049, b'A');
    ends(&arena, &path, 1, "2048").await;
    path.resize(1024 * 1024, b'A');
    let mut peer = arena.plain(0).await;
    peer.try_send(path).await;
    assert!(peer.rest().await.is_empty());
    drop(peer);
    // One byte less is a path.
    let mut peer = arena.plain(1).await;
    let longest = format!("/{}", "A".repeat(2047));
    assert_eq!(peer.call(&longest, 1, "x").await, REFUSED);
    drop(peer);
    arena.finish_unharmed().await;
}

/// A04: lengths that nobody may send.
#[tokio::test]
async fn impossible_lengths() {
    let arena = Arena::new().await;
    for length in [16 * MIB + 1, 1 << 31, u32::MAX] {
        ends(&arena, header(1, "/echo", 1, length), 1, "16777216").await;
    }
    arena.finish_unharmed().await;
}

/// A05: data that is announced and never comes.
#[tokio::test(start_paused = true)]
async fn announced_data_that_never_comes() {
    let arena = Arena::with(echo(), "memory://a05").await;
    let mut peers = Vec::new();
    for _ in 0..50 {
        let mut peer = in_memory(&arena.server).await;
        peer.say_hello(4).await;
        peer.send(header(1, "/echo", 0, 4 * MIB)).await;
        peer.send([0; 1000]).await;
        peers.push(peer);
    }
    let start = Instant::now();
    for mut peer in peers {
        let notice = peer.expect_goaway().await;
        assert_eq!(notice.code, 3);
        assert!(notice.text.contains("data"), "{notice:?}");
        // The grace, and what the rate is averaged over.
        assert_eq!(start.elapsed().as_secs(), 7);
    }
    arena.finish_unharmed().await;
}

/// A06: more channels than anybody needs.
#[tokio::test]
async fn a_flood_of_channel_requests() {
    let arena = Arena::new().await;
    let request = frame(1, "/sys/new_channel", 0, "{}");
    let mut peer = arena.plain(0).await;
    for granted in 1..=900 {
        assert_eq!(
            peer.call("/sys/new_channel", 0, "{}").await,
            format!("{{\"code\":0,\"channel_id\":{granted}}}")
        );
    }
    assert_eq!(peer.call("/echo", 900, "used").await, "used");
    peer.try_send(request.repeat(5000)).await;
    let granted = peer.rest().await.len();
    assert!(granted < 3000, "{granted}");
    drop(peer);
    ends(&arena, request.repeat(20_000), 2, "control_rate").await;
    arena.finish_unharmed().await;
}

/// A07: channels made and deleted without end.
#[tokio::test]
async fn channel_churn() {
    let arena = Arena::new().await;
    let mut peer = arena.plain(0).await;
    for round in 1..=300 {
        peer.open_channel(round).await;
        assert_eq!(peer.call("/echo", round, "x").await, "x");
        assert_eq!(
            peer.call("/sys/delete_channel", round, "{}").await,
            r#"{"code":0}"#
        );
        // The reference's client uses the number again.
        assert_eq!(peer.call("/echo", round, "again").await, "again");
    }
    drop(peer);
    let pair = [
        frame(1, "/sys/new_channel", 0, "{}"),
        frame(1, "/sys/delete_channel", 0, "{}"),
    ]
    .concat();
    ends(&arena, pair.repeat(10_000), 2, "control_rate").await;
    arena.finish_unharmed().await;
}

/// A08: the same, and gone before the answers.
#[tokio::test]
async fn floods_that_end_with_a_reset() {
    let arena = Arena::new().await;
    let flood = frame(1, "/sys/new_channel", 0, "{}").repeat(500);
    for round in 0..50 {
        let mut peer = Peer::connect(&arena.server.address).await;
        peer.try_send(&flood).await;
        if round % 2 == 0 {
            peer.next().await;
        }
        peer.reset();
    }
    arena.finish_unharmed().await;
}

/// A10: requests that each cause an error, from a client that reads none.
#[tokio::test(start_paused = true)]
async fn a_flood_of_errors_that_nobody_reads() {
    let arena = Arena::with(echo(), "memory://a10").await;
    let mut peer = in_memory(&arena.server).await;
    let flood = frame(1, "/nobody", 0, "x").repeat(100);
    let mut sent = 0;
    while timeout(Duration::from_millis(50), peer.try_send(&flood)).await == Ok(true) {
        sent += 100;
        assert!(sent < 60_000, "the server reads on");
    }
    // Each answer has 55 bytes, and a MiB of them may wait.
    assert!(sent > 10_000, "{sent}");
    for _ in 0..sent {
        assert_eq!(text(&peer.expect().await), REFUSED);
    }
    drop(peer);
    arena.finish_unharmed().await;
}

/// A11: a message that goes on and on.
#[tokio::test]
async fn an_endless_message() {
    let arena = Arena::new().await;
    let mut peer = arena.native().await;
    let piece = frame(2, "/", 2, vec![1; 32 * 1024]);
    peer.send(frame(0, "/echo", 2, "begun")).await;
    // Five MiB are too large for a message, and are answered at once.
    peer.send(piece.repeat(160)).await;
    let refused = peer.expect().await;
    assert_eq!(
        (refused.channel().0, code(&text(&refused))),
        (2, Some(ErrorReply::TOO_LARGE))
    );
    assert_eq!(peer.call("/echo", 3, "beside").await, "beside");
    for _ in 0..30 {
        if !peer.try_send(piece.repeat(32)).await {
            break;
        }
    }
    let notice = peer.expect_goaway().await;
    assert_eq!((notice.code, notice.channel), (2, 2));
    assert!(notice.text.contains("does not end"), "{notice:?}");
    drop(peer);
    // One that does end costs only its own call.
    let mut peer = arena.native().await;
    peer.send(frame(0, "/echo", 2, "begun")).await;
    peer.send(piece.repeat(160)).await;
    assert_eq!(
        code(&text(&peer.expect().await)),
        Some(ErrorReply::TOO_LARGE)
    );
    peer.send(frame(3, "/", 2, "end")).await;
    assert_eq!(peer.call("/echo", 2, "next").await, "next");
    drop(peer);
    arena.finish_unharmed().await;
}

/// A12: many messages begun, none finished.
#[tokio::test]
async fn partial_messages_on_many_channels() {
    let limits = Limits::default()
        .max_incomplete(16)
        .receive_budget(4 * MIB as usize);
    let arena = Arena::with(echo().limits(limits), "127.0.0.1:0").await;
    let mut peer = arena.plain(64).await;
    let mut refused = 0;
    let part = vec![1; 1024 * 1024];
    for channel in 1..=6 {
        peer.send(frame(0, "/echo", channel, &part)).await;
    }
    // What exceeds the budget is refused at once; the others are untouched.
    for channel in [5, 6] {
        let answer = peer.expect().await;
        assert_eq!(
            (answer.channel().0, code(&text(&answer))),
            (channel, Some(ErrorReply::TOO_LARGE))
        );
        peer.send(frame(3, "/echo", channel, "end")).await;
    }
    for channel in 1..=4 {
        peer.send(frame(3, "/echo", channel, "!")).await;
        // At the budget not even one byte more: the newest are refused.
        let answer = peer.expect().await;
        match code(&text(&answer)) {
            None => assert_eq!(data(&answer).len(), part.len() + 1),
            Some(code) => {
                assert_eq!(code, ErrorReply::TOO_LARGE);
                refused += 1;
            }
        }
    }
    assert!(refused < 4);
    // And of small ones there may be 16.
    for channel in 1..=20 {
        peer.send(frame(0, "/echo", channel, "begun")).await;
    }
    for channel in 17..=20 {
        let answer = peer.expect().await;
        assert_eq!(
            (answer.channel().0, code(&text(&answer))),
            (channel, Some(ErrorReply::OVERLOADED))
        );
    }
    for channel in 1..=16 {
        peer.send(frame(3, "/echo", channel, " ended")).await;
        assert_eq!(text(&peer.expect().await), "begun ended");
    }
    drop(peer);
    arena.finish_unharmed().await;
}

/// A13: frames that carry a byte each.
#[tokio::test]
async fn tiny_frames() {
    let arena = Arena::new().await;
    let tiny = [frame(0, "/echo", 1, "x"), frame(2, "/", 1, "x").repeat(500)].concat();
    let mut peer = arena.plain(1).await;
    peer.try_send(&tiny).await;
    assert!(peer.rest().await.is_empty());
    drop(peer);
    let tiny = [frame(0, "/echo", 2, "x"), frame(2, "/", 2, "x").repeat(500)].concat();
    let mut peer = arena.native().await;
    peer.try_send(&tiny).await;
    let notice = peer.expect_goaway().await;
    assert_eq!(notice.code, 2);
    assert!(notice.text.contains("next to nothing"), "{notice:?}");
    drop(peer);
    arena.finish_unharmed().await;
}

/// A14: frames without data, of every kind.
#[tokio::test]
async fn frames_without_data() {
    let arena = Arena::new().await;
    for kind in 0..8 {
        for prefix in [vec![], frame(0, "/echo", 2, "begun")] {
            let mut peer = arena.native().await;
            peer.send([prefix, header(kind, "/echo", 2, 0)].concat())
                .await;
            let notice = peer.expect_goaway().await;
            assert_eq!(notice.code, 1, "kind {kind}: {notice:?}");
        }
    }
    arena.finish_unharmed().await;
}

/// A17: kinds that a server never gets.
#[tokio::test]
async fn every_kind_that_is_not_a_requests() {
    let arena = Arena::new().await;
    for kind in (4..=7).chain(9..=255) {
        let mut peer = arena.native().await;
        peer.send(frame(kind, "/echo", 2, "x")).await;
        let notice = peer.expect_goaway().await;
        assert_eq!(notice.code, 1);
        assert!(notice.text.contains(&format!("kind {kind}")), "{notice:?}");
    }
    // Kinds that do not follow one another.
    for (kinds, channel) in [
        (&[2][..], 2),
        (&[3], 2),
        (&[0, 0], 2),
        (&[0, 1], 2),
        (&[1, 3], 2),
    ] {
        let mut peer = arena.native().await;
        for kind in kinds {
            peer.send(frame(*kind, "/echo", 2, "x")).await;
        }
        let notice = peer.expect_goaway().await;
        assert_eq!((notice.code, notice.channel), (1, channel), "{kinds:?}");
    }
    let mut peer = arena.native().await;
    peer.send(frame(1, "/echo", 65, "x")).await;
    let notice = peer.expect_goaway().await;
    assert_eq!((notice.code, notice.channel), (1, 65));
    drop(peer);
    arena.finish_unharmed().await;
}

/// A18: kind 8 closes its connection at once, wherever it stands.
#[tokio::test]
async fn kind_eight() {
    let arena = Arena::new().await;
    let begun = frame(0, "/echo", 1, "begun");
    for bytes in [vec![8], header(8, "", 0, 0), [begun, vec![8]].concat()] {
        let mut peer = arena.plain(1).await;
        peer.send(&bytes).await;
        assert!(peer.rest().await.is_empty());
    }
    arena.finish_unharmed().await;
}

/// A20, A21, A23: paths in another form than the canonical one are refused, whatever they would mean, and nothing of
/// them comes back.
#[tokio::test]
async fn paths_that_are_none() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let handler = || {
        handler_fn(|request: Incoming| async move {
            SEEN.fetch_add(1, Ordering::Relaxed);
            Ok(request.into_data())
        })
    };
    let server = echo()
        .handler("/admin/delete", handler())
        .fallback(handler());
    let arena = Arena::with(server, "127.0.0.1:0").await;
    let spellings: [&[u8]; 36] = [
        b"admin/delete",
        b"//admin/delete",
        b"/admin//delete",
        b"/admin/./delete",
        b"/admin/../admin/delete",
        b"/./admin/delete",
        b"/admin/delete/.",
        b"/admin/delete/..",
        b"/%61dmin/delete",
        b"/admin%2fdelete",
        b"/admin%2Fdelete",
        b"/admin/delete%00",
        b"/admin%00/delete",
        b"/admin/delete?x=%00",
        b"/admin/delete?x=%0a",
        b"/admin/delete?x=%7f",
        b"/admin/delete?x=%zz",
        b"/admin/delete?x=%4",
        b"/admin/delete?x=%ff",
        b"/admin/delete#x",
        b"/admin/delete;x=1",
        b"/admin\\delete",
        b"/admin/delete ",
        b" /admin/delete",
        b"/admin/de lete",
        b"/admin/delete\n",
        b"/admin/delete\r\nx",
        b"/\x1b[31madmin",
        b"http://h/admin/delete",
        b"//h/admin/delete",
        b"/admin/d\xc3\xa9lete",
        b"/admin/\xff\xfe",
        b"/\x80",
        b"/admin/delete?\xff",
        b"/%2e%2e/admin/delete",
        b"?x=1",
    ];
    for path in spellings {
        for native in [false, true] {
            let mut peer = if native {
                arena.native().await
            } else {
                arena.plain(2).await
            };
            peer.send(frame(1, path, 2, "x")).await;
            let answer = peer.expect().await;
            let shown = String::from_utf8_lossy(path);
            assert_eq!(
                (answer.path(), text(&answer).as_str()),
                (&b"/"[..], REFUSED),
                "{shown}"
            );
            // Nothing else comes, and the connection lives.
            assert_eq!(peer.call("/echo", 2, "alive").await, "alive", "{shown}");
        }
    }
    assert_eq!(SEEN.load(Ordering::Relaxed), 0);
    let mut peer = arena.plain(2).await;
    assert_eq!(peer.call("/admin/delete", 2, "x").await, "x");
    // Another path, not another spelling.
    assert_eq!(peer.call("/Admin/delete", 2, "y").await, "y");
    assert_eq!(peer.call("/admin/delete/", 2, "z").await, "z");
    assert_eq!(SEEN.load(Ordering::Relaxed), 3);
    drop(peer);
    arena.finish_unharmed().await;
}

/// A19: what our own side must not send fails in the call, and the connection does not notice.
#[tokio::test]
async fn our_own_application_sends_nonsense() {
    let arena = Arena::new().await;
    let client: Client = arena.server.client().await;
    for path in ["/a\0b", "/a\nb", "/a%00", "/?x=%00", "x", "", "/a b"] {
        let error = client.call(path, "x").await.unwrap_err();
        assert_eq!(error.outcome(), iip_core::Outcome::NotSent, "{path:?}");
        assert_eq!(client.call("/echo", "alive").await.unwrap(), "alive");
    }
    assert_eq!(client.connections(), 1);
    drop(client);
    arena.finish_unharmed().await;
}

/// A28: clients that read nothing.
#[tokio::test]
async fn sleeping_readers() {
    let arena = Arena::with(
        echo().write_stall(Duration::from_millis(100)),
        "127.0.0.1:0",
    )
    .await;
    let request = frame(1, "/echo", 0, vec![1; 1024 * 1024]);
    let sleepers: Vec<_> = (0..10)
        .map(|_| {
            let address = arena.server.address.clone();
            let request = request.clone();
            tokio::spawn(async move {
                let mut peer = Peer::connect(&address).await;
                let mut sent = 0;
                while peer.try_send(&request).await {
                    sent += 1;
                    assert!(sent < 1000, "the server takes everything");
                }
            })
        })
        .collect();
    for sleeper in sleepers {
        limited(sleeper).await.unwrap();
    }
    arena.finish_unharmed().await;
}
