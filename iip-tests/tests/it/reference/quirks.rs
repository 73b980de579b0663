//! The emulator has the reference's quirks, so that what it accepts or does not do means something.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iip_rpc::tokio;
use iip_tests::reference::{Client, Frame, MAX_DATA, Server, parse};
use tokio::time::Instant;

use super::running::{Peer, echo, held, limited, text};

#[test]
fn paths_are_parsed_as_go_does() {
    for (raw, path) in [
        (&b"/ec%68o"[..], Some(&b"/echo"[..])),
        (b"//host/echo", Some(b"/echo")),
        (b"http://u@h:1/echo#frag", Some(b"/echo")),
        (b"/echo?x=1", Some(b"/echo")),
        (b"/echo/../echo", Some(b"/echo/../echo")),
        (b"/a%00b", Some(b"/a\0b")),
        (b"?x=1", Some(b"")),
        (b"#f", Some(b"")),
        (b"mailto:a", Some(b"")),
        (b"///x", Some(b"///x")),
        (b"echo", Some(b"echo")),
        (b"/%zz", None),
        (b"/a\nb", None),
        (b"a b:c/d", None),
    ] {
        let url = parse(raw);
        let parsed = url.as_ref().map(|url| &url.path[..]);
        assert_eq!(parsed, path, "{}", String::from_utf8_lossy(raw));
    }
    let url = parse(b"/q?id=1+2&id=3&name=%61&bad=%zz&;=1").expect("a path");
    assert_eq!(
        (url.value("id"), url.value("name")),
        ("1 2".into(), "a".into())
    );
    assert_eq!((url.value("bad"), url.query.len()), (String::new(), 3));
}

#[tokio::test]
async fn the_decoded_path_comes_back() {
    let server = echo();
    let mut peer = Peer::client_of(&server);
    for (sent, received) in [
        ("/echo?x=1", "/echo"),
        ("/ec%68o", "/echo"),
        ("//host/echo", "/echo"),
        ("/no\nsuch", "/no\nsuch"),
    ] {
        peer.send_frame(1, sent, 0, "x").await;
        let answer = match received {
            "/echo" => "x",
            _ => r#"{"code":102,"message":"handle error"}"#,
        };
        assert_eq!(peer.expect().await, Frame::new(5, received, 0, answer));
    }
    // A path that decodes to nothing cannot be sent.
    peer.send_frame(1, "?x=1", 0, "x").await;
    assert_eq!(peer.next().await, Err("end of stream".into()));
    assert_eq!(server.observed().ends, ["a path of 0 bytes"]);
    // A NUL ends the path of the answer where its sender wants it to, and what follows is read as something else.
    let mut peer = Peer::client_of(&server);
    peer.send_frame(1, "/%00%00%00%00%01%00%00%00%01!%05/", 0, "x")
        .await;
    assert_eq!(peer.expect().await, Frame::new(5, "/", 1, "!"));
}

#[tokio::test]
async fn every_frame_of_a_request_is_answered() {
    let server = echo();
    let mut peer = Peer::client_of(&server);
    peer.send_frame(0, "/echo?x=1", 0, "a").await;
    peer.send_frame(2, "/echo?x=1", 0, "b").await;
    peer.send_frame(3, "/echo?x=1", 0, "c").await;
    for (path, data) in [("/echo", "a"), ("/echo?x=1", "ab"), ("/echo?x=1", "abc")] {
        assert_eq!(peer.expect().await, Frame::new(5, path, 0, data));
    }
    // So is every frame of a request for a channel.
    peer.send_frame(0, "/sys/new_channel", 0, "{").await;
    peer.send_frame(3, "/sys/new_channel", 0, "}").await;
    assert_eq!(text(&peer.expect().await), r#"{"code":0,"channel_id":1}"#);
    assert_eq!(text(&peer.expect().await), r#"{"code":0,"channel_id":2}"#);
    // The answer to a later frame without a path cannot be sent.
    peer.send_frame(0, "/echo", 0, "a").await;
    peer.send_frame(2, "", 0, "b").await;
    assert_eq!(text(&peer.expect().await), "a");
    assert_eq!(peer.next().await, Err("end of stream".into()));
}

#[tokio::test]
async fn channels_are_deleted_without_an_answer_and_their_numbers_used_again() {
    let server = echo();
    let mut peer = Peer::client_of(&server);
    peer.open_channels([1, 2, 3]).await;
    peer.send_frame(1, "/sys/delete_channel", 2, "{}").await;
    // The deletion runs beside other channels: a channel that is granted the number shows that it is done.
    let mut next = 4;
    while peer.call("/sys/new_channel", 0, "{}").await != r#"{"code":0,"channel_id":2}"# {
        next += 1;
    }
    assert_eq!(peer.call("/echo", 2, "again").await, "again");
    // Even channel 0 can be deleted, and is granted then.
    peer.send_frame(1, "/sys/delete_channel", 0, "{}").await;
    while peer.call("/sys/new_channel", 1, "{}").await != r#"{"code":0}"# {
        next += 1;
    }
    assert_eq!(peer.call("/echo", 0, "zero").await, "zero");
    peer.send_frame(1, "/echo", next, "x").await;
    assert_eq!(peer.next().await, Err("end of stream".into()));
    assert_eq!(
        server.observed().ends,
        [format!("invalid channel id: {next}")]
    );
}

#[tokio::test]
async fn the_server_closes_by_the_rules() {
    let begun = Frame::new(0, "/echo", 0, "a").to_bytes();
    let after_begun = |kind| [begun.clone(), Frame::new(kind, "/echo", 0, "b").to_bytes()].concat();
    let mut long = Frame::new(1, "/echo", 0, "a").to_bytes();
    let length = long.len() - 5;
    long[length..length + 4].copy_from_slice(&(MAX_DATA as u32 + 1).to_be_bytes());
    for (bytes, why) in [
        (vec![8], "closed by kind 8"),
        (
            Frame::new(1, "/echo", 1, "a").to_bytes(),
            "invalid channel id: 1",
        ),
        (
            Frame::new(2, "/echo", 0, "a").to_bytes(),
            "kind 2 after 255",
        ),
        (
            Frame::new(5, "/echo", 0, "a").to_bytes(),
            "kind 5 after 255",
        ),
        (
            Frame::new(9, "/echo", 0, "a").to_bytes(),
            "kind 9 after 255",
        ),
        (after_begun(0), "kind 0 after 0"),
        (after_begun(1), "kind 1 after 0"),
        (Frame::new(1, "/echo", 0, "").to_bytes(), "no data"),
        (long, "16777217 bytes of data"),
        (vec![1; 600_000], "buffer full"),
    ] {
        let server = echo();
        let mut peer = Peer::client_of(&server);
        peer.try_send(bytes).await;
        while peer.next().await.is_ok() {}
        assert_eq!(server.observed().ends, [why]);
    }
}

/// A channel whose handler is slow holds up all of them, as soon as 100 frames wait for it.
#[tokio::test(start_paused = true)]
async fn a_full_channel_blocks_the_connection() {
    let (server, gate) = held();
    let mut peer = Peer::client_of(&server);
    peer.open_channels([1, 2]).await;
    // One in the handler, a hundred in the queue.
    for number in 0..101 {
        peer.send_frame(1, "/held", 1, &number.to_string()).await;
    }
    assert_eq!(peer.call("/echo", 2, "beside").await, "beside");
    peer.send_frame(1, "/held", 1, "101").await;
    peer.send_frame(1, "/echo", 2, "blocked").await;
    let nothing = tokio::time::timeout(Duration::from_secs(10), peer.expect()).await;
    assert!(nothing.is_err());
    gate.add_permits(102);
    let mut answers = Vec::new();
    for _ in 0..103 {
        answers.push(text(&peer.expect().await));
    }
    assert!(answers.contains(&"blocked".into()));
}

#[tokio::test]
async fn answers_are_dropped_when_the_client_has_ended_its_direction() {
    let (server, gate) = held();
    let mut peer = Peer::client_of(&server);
    peer.send_frame(1, "/held", 0, "x").await;
    peer.finish().await;
    assert_eq!(peer.next().await, Err("end of stream".into()));
    gate.add_permits(1);
    assert_eq!(server.observed().ends, ["end of stream"]);
}

/// A peer that does not read has three seconds for each frame; meanwhile answers are lost, each after a second.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_loses_answers_and_then_the_connection() {
    let server = Server::new().handle("/large", |_| async { Ok(vec![1; 100_000]) });
    let mut peer = Peer::client_of(&server);
    let start = Instant::now();
    for _ in 0..200 {
        peer.try_send(Frame::new(1, "/large", 0, "x").to_bytes())
            .await;
    }
    while server.observed().ends.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(start.elapsed().as_secs(), 3);
    let observed = server.observed();
    assert_eq!(observed.ends, ["a frame was not taken within 3 s"]);
    assert!(observed.lost > 0, "{observed:?}");
}

/// The client counts its own channels, whatever it is granted.
#[tokio::test]
async fn the_client_ignores_the_number_it_is_granted() {
    let (mut peer, io) = Peer::pair();
    let client = Client::over(io);
    let (channel, ()) = tokio::join!(client.new_channel(), async {
        assert_eq!(&peer.expect().await.path, b"/sys/new_channel");
        let grant = r#"{"code":0,"channel_id":7}"#;
        peer.send_frame(5, "/sys/new_channel", 0, grant).await;
    });
    let channel = channel.expect("a channel");
    assert_eq!(channel.id(), 1);
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { channel.request("/x", "x", Duration::ZERO).await }
    });
    assert_eq!(peer.expect().await.channel, 1);
    peer.send_frame(5, "/x", 1, "y").await;
    assert_eq!(limited(call).await.expect("no panic"), Ok("y".into()));
    // A number that was given back is used again, and only this side knows.
    channel.close();
    let (channel, ()) = tokio::join!(client.new_channel(), async {
        peer.expect().await;
        let grant = r#"{"code":0,"channel_id":8}"#;
        peer.send_frame(5, "/sys/new_channel", 0, grant).await;
    });
    assert_eq!(channel.expect("a channel").id(), 1);
    peer.send_frame(5, "/x", 7, "y").await;
    assert_eq!(limited(client.ended()).await, "invalid channel id: 7");
}

#[tokio::test]
async fn the_client_is_refused_a_channel() {
    let (mut peer, io) = Peer::pair();
    let client = Client::over(io);
    let (channel, ()) = tokio::join!(client.new_channel(), async {
        peer.expect().await;
        let refusal = r#"{"code":106,"message":"channel create limited"}"#;
        peer.send_frame(5, "/sys/new_channel", 0, refusal).await;
    });
    assert_eq!(channel.err(), Some("channel create limited".into()));
}

/// Late answers are popped and dropped; on a connection that is lost nobody is told.
#[tokio::test(start_paused = true)]
async fn the_client_waits_out_its_time() {
    let (mut peer, io) = Peer::pair();
    let client = Client::over(io);
    let channel = client.channel_zero();
    let start = Instant::now();
    let timed_out = Err("request timeout".to_string());
    assert_eq!(
        channel.request("/late", "1", Duration::ZERO).await,
        timed_out
    );
    assert_eq!(start.elapsed().as_secs(), 3);
    let second = tokio::spawn({
        let channel = channel.clone();
        async move { channel.request("/x", "2", Duration::ZERO).await }
    });
    for answer in ["late", "in time"] {
        peer.expect().await;
        peer.send_frame(5, "/x", 0, answer).await;
    }
    assert_eq!(
        limited(second).await.expect("no panic"),
        Ok("in time".into())
    );
    let (start, lost) = (Instant::now(), channel.request("/x", "3", Duration::ZERO));
    let (lost, ()) = tokio::join!(lost, async {
        peer.expect().await;
        peer.send([8]).await;
        assert_eq!(client.ended().await, "closed by kind 8");
    });
    assert_eq!((lost, start.elapsed().as_secs()), (timed_out, 3));
    let start = Instant::now();
    let client = Client::over(Peer::pair().1);
    assert!(client.new_channel().await.is_err());
    assert!(start.elapsed().as_secs() <= 1);
}

#[tokio::test]
async fn the_client_puts_answers_of_several_frames_together() {
    let (mut peer, io) = Peer::pair();
    let client = Client::over(io);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    client.on_path("/x", move |data, completed| {
        let text = String::from_utf8_lossy(data).into_owned();
        seeing.lock().expect("a list").push((text, completed));
    });
    let channel = client.channel_zero();
    let (answer, ()) = tokio::join!(channel.request("/x", "x", Duration::ZERO), async {
        peer.expect().await;
        peer.send_frame(4, "/x", 0, "a").await;
        peer.send_frame(6, "/x", 0, "b").await;
        peer.send_frame(7, "/x", 0, "c").await;
    });
    assert_eq!(answer, Ok("abc".into()));
    let seen = seen.lock().expect("a list").clone();
    let pieces = seen
        .iter()
        .map(|(text, completed)| (text.as_str(), *completed));
    assert!(pieces.eq([("a", false), ("ab", false), ("abc", true)]));
}

/// An answer that nobody waits for closes its channel, and the next frame there the connection.
#[tokio::test]
async fn the_client_closes_by_the_rules() {
    let twice = [
        Frame::new(5, "/x", 0, "a").to_bytes(),
        Frame::new(5, "/x", 0, "b").to_bytes(),
    ];
    let deleted = [
        Frame::new(5, "/sys/delete_channel", 0, "a").to_bytes(),
        Frame::new(5, "/x", 0, "b").to_bytes(),
    ];
    for (bytes, why) in [
        (twice.concat(), "invalid channel id: 0"),
        (deleted.concat(), "invalid channel id: 0"),
        (
            Frame::new(5, "/x", 1, "a").to_bytes(),
            "invalid channel id: 1",
        ),
        (Frame::new(1, "/x", 0, "a").to_bytes(), "kind 1 after 255"),
        (Frame::new(6, "/x", 0, "a").to_bytes(), "kind 6 after 255"),
        (Frame::new(5, "/x", 0, "").to_bytes(), "no data"),
    ] {
        let (mut peer, io) = Peer::pair();
        let client = Client::over(io);
        peer.send(bytes).await;
        assert_eq!(limited(client.ended()).await, why);
    }
}
