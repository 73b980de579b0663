//! The emulator says, byte for byte, what the reference was recorded to say.

use std::fs;
use std::path::Path;
use std::time::Duration;

use iip_rpc::tokio;
use iip_tests::reference::{Channel, Client, Frame, Server};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::running::{Peer, limited, text};

const CONVERSATIONS: [&str; 10] = [
    "channels",
    "delete",
    "echo",
    "echo_empty",
    "fail",
    "nohandler",
    "panic",
    "pipeline",
    "query",
    "sys",
];

/// A recorded frame, with its bytes if they were shown.
struct Recorded {
    from_client: bool,
    path: String,
    channel: u32,
    length: usize,
    bytes: Option<Vec<u8>>,
}

impl Recorded {
    fn data(&self) -> Vec<u8> {
        let bytes = self.bytes.as_ref().expect("bytes that were shown");
        bytes[bytes.len() - self.length..].to_vec()
    }
}

fn conversation(name: &str) -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../iip-core/tests/captures");
    let text = fs::read_to_string(folder.join(format!("{name}.txt"))).expect("a recording");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let recorded = lines.chunks(2).map(|lines| {
        let field = |name: &str| {
            let (_, rest) = lines[0].split_once(&format!(" {name}=")).expect("a field");
            rest.split(' ').next().expect("its value").to_owned()
        };
        let hex = lines[1].trim();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
        Recorded {
            from_client: lines[0].starts_with("C>S"),
            path: field("path"),
            channel: field("channel").parse().expect("a number"),
            length: field("len").parse().expect("a number"),
            bytes: (!hex.starts_with('(')).then(|| (0..hex.len()).step_by(2).map(byte).collect()),
        }
    });
    recorded.collect()
}

/// The recorded server, whose `/slow` answers when it is told which call's turn it is.
fn recorded_server(turn: watch::Receiver<Vec<u8>>) -> Server {
    Server::new()
        .handle("/echo", |call| async { Ok(call.data) })
        .handle("/empty", |_| async { Ok(Vec::new()) })
        .handle("/fail", |_| async { Err("boom".into()) })
        .handle("/panic", |_| async { panic!("on purpose") })
        .handle("/query", |call| async move {
            Ok(format!("{}|{}", call.url.value("id"), call.url.value("name")).into())
        })
        .handle("/slow", move |call| {
            let mut turn = turn.clone();
            async move {
                let came = turn.wait_for(|turn| *turn == call.data).await;
                drop(came.expect("a test that goes on"));
                Ok(call.data)
            }
        })
}

/// A text with every number replaced, and lists of equal things shortened to one.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' if shape.ends_with('0') => {}
            '0'..='9' => shape.push('0'),
            other => shape.push(other),
        }
    }
    let range = "{\"Duration\":0,\"Count\":0}";
    let ranges = format!("{{\"range_count\":[{range}]}}");
    for repeated in ["0", range, &ranges] {
        let (two, one) = (format!("{repeated},{repeated}"), repeated);
        while shape.contains(&two) {
            shape = shape.replace(&two, one);
        }
    }
    shape
}

const COUNT: &str = r#"{"PacketsSent":0,"PacketReceived":0,"WholePacketSent":0,"WholePacketReceived":0,"BytesSent":0,"BytesReceived":0}"#;

const MEASURE: &str = r#"{"five_minute_requests":[0],"five_minute_duration":[0],"all_requests":0,"all_duration":0,"five_minute_timecount":[{"range_count":[{"Duration":0,"Count":0}]}],"all_timecount":{"range_count":[{"Duration":0,"Count":0}]}}"#;

/// Figures differ from recording to recording; their shapes do not.
fn check_statistics(path: &str, answer: &Frame, recorded: &Recorded) {
    let answered = text(answer);
    match path {
        "/sys/server_measure" | "/sys/path_measure" => {
            assert_eq!(shape(&answered), MEASURE);
            assert_eq!(answered.matches(',').count(), 5435);
        }
        "/sys/statis" => {
            let start = format!(
                "total count: {COUNT}\ntotal measure: \n0 minute requests     : 0, average duration: 0\n"
            );
            assert!(shape(&answered).starts_with(&start), "{answered}");
            assert!(answered.contains("\n-----------------------------------\n"));
            assert!(
                shape(&answered).contains(&format!("\n/echo count: {COUNT}\n/echo measure: \n"))
            );
        }
        "/sys/connection_statis" => {
            // The emulated connection has a name instead of an address.
            let known = String::from_utf8(recorded.data()).expect("text");
            let (_, known) = known.split_once(":{").expect("a connection");
            let (_, ours) = answered.split_once(":{").expect("a connection");
            assert_eq!(shape(ours), shape(known));
        }
        _ => assert_eq!(
            shape(&answered),
            shape(&String::from_utf8(recorded.data()).expect("text"))
        ),
    }
}

#[tokio::test]
async fn the_emulated_server_answers_as_recorded() {
    for name in CONVERSATIONS {
        let (turn, turns) = watch::channel(Vec::new());
        let server = recorded_server(turns);
        let mut peer = Peer::client_of(&server);
        let mut asked = String::new();
        for recorded in conversation(name) {
            if recorded.from_client {
                peer.send(recorded.bytes.as_ref().expect("a request")).await;
                asked.clone_from(&recorded.path);
                continue;
            }
            if recorded.path == "/slow" {
                turn.send(recorded.data()).expect("a handler");
            }
            let answer = peer.expect().await;
            match &recorded.bytes {
                Some(bytes) if !asked.starts_with("/sys/") || asked == "/sys/new_channel" => {
                    assert_eq!(&answer.to_bytes(), bytes, "{name}: {answer}");
                }
                // A path without statistics.
                Some(bytes) if text(&answer).contains("\"code\"") => {
                    assert_eq!(&answer.to_bytes(), bytes, "{name}: {answer}");
                }
                _ => {
                    let header = (answer.kind, answer.channel, &answer.path[..]);
                    assert_eq!(header, (5, recorded.channel, recorded.path.as_bytes()));
                    check_statistics(&asked, &answer, &recorded);
                }
            }
        }
        // A deletion is not answered, and there is nothing else to say.
        peer.finish().await;
        assert_eq!(peer.next().await, Err("end of stream".into()), "{name}");
    }
}

type Calling = JoinHandle<Result<Vec<u8>, String>>;

/// What the recorded program did, with its channels by number.
struct Caller {
    client: Client,
    channels: Vec<Channel>,
    opening: Option<JoinHandle<Result<Channel, String>>>,
    calls: Vec<(u32, Calling)>,
}

impl Caller {
    fn say(&mut self, recorded: &Recorded) {
        let data = recorded.data();
        if recorded.path == "/sys/new_channel" {
            let client = self.client.clone();
            self.opening = Some(tokio::spawn(async move { client.new_channel().await }));
            return;
        }
        let channel = self.channels.iter();
        let channel = channel
            .clone()
            .find(|channel| channel.id() == recorded.channel)
            .expect("a channel that was opened")
            .clone();
        let path = recorded.path.clone();
        let call = async move { channel.request(&path, data, Duration::from_secs(60)).await };
        self.calls.push((recorded.channel, tokio::spawn(call)));
    }

    async fn hear(&mut self, recorded: &Recorded, data: Vec<u8>) {
        if recorded.path == "/sys/new_channel" {
            let opening = self.opening.take().expect("a request for a channel");
            let channel = limited(opening)
                .await
                .expect("no panic")
                .expect("a channel");
            self.channels.push(channel);
            return;
        }
        let mut calls = self.calls.iter();
        let first = calls.position(|(channel, _)| *channel == recorded.channel);
        let (_, call) = self.calls.remove(first.expect("a call"));
        assert_eq!(limited(call).await.expect("no panic"), Ok(data));
    }
}

#[tokio::test]
async fn the_emulated_client_calls_as_recorded() {
    for name in CONVERSATIONS {
        let (mut peer, io) = Peer::pair();
        let mut caller = Caller {
            client: Client::over(io),
            channels: Vec::new(),
            opening: None,
            calls: Vec::new(),
        };
        for recorded in conversation(name) {
            if recorded.from_client {
                caller.say(&recorded);
                let request = peer.expect().await;
                assert_eq!(
                    Some(request.to_bytes()),
                    recorded.bytes,
                    "{name}: {request}"
                );
                continue;
            }
            // What is not shown of an answer is made up.
            let unseen = || vec![b'?'; recorded.length];
            let data = recorded
                .bytes
                .as_ref()
                .map_or_else(unseen, |_| recorded.data());
            let answer = Frame::new(5, recorded.path.as_str(), recorded.channel, data.as_slice());
            if let Some(bytes) = &recorded.bytes {
                assert_eq!(&answer.to_bytes(), bytes);
            }
            peer.send(answer.to_bytes()).await;
            caller.hear(&recorded, data).await;
        }
        assert_eq!(caller.calls.len(), usize::from(name == "delete"));
    }
}

/// The emulator is no use if it makes the same mistakes for the same reason.
#[test]
fn the_emulator_shares_no_code_with_what_it_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference");
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let source = fs::read_to_string(&path).expect("a file");
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let foreign = ["iip_core", "iip_rpc", "crate::"]
                .iter()
                .any(|name| line.contains(name));
            assert!(!foreign, "{}: {line}", path.display());
        }
        files += 1;
    }
    assert!(files > 5);
}
