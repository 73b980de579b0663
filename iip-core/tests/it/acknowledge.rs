//! A client says that it places no more calls only when all it has begun are on their way: the server may close when it
//! hears that.

use std::time::Instant;

use bytes::BytesMut;
use iip_core::session::{
    CallId, ClientConfig, ClientEvent, ClientSession, Format, OpenOptions, Payload,
};
use iip_core::wire::{Decoded, Decoder, MAX_DATA, Path};

use crate::peer::{data, frame};

/// A session whose server has just said GOAWAY, with a request of many frames that is still to be sent.
fn draining(format: Format) -> (ClientSession, CallId, Instant) {
    let now = Instant::now();
    let mut session = ClientSession::new(ClientConfig::default(), now);
    let feed = |session: &mut ClientSession, bytes: Vec<u8>| {
        let mut input = BytesMut::from(&bytes[..]);
        session.handle(&mut input, bytes.len(), now);
        assert_eq!((session.ended(), input.len()), (None, 0));
    };
    let hello = r#"{"code":0,"v":1,"channels":8}"#;
    feed(&mut session, frame(5, "/sys/hello", 0, hello));
    let sent = sent(&mut session);
    assert!(sent.contains(&(1, 0, false)), "the event stream is open");
    feed(&mut session, frame(4, "/", 1, [0x0f, 0x80, 0, 0]));
    let options = OpenOptions {
        format,
        ..OpenOptions::default()
    };
    let payload = match format {
        Format::Raw => Payload::Whole(vec![1; 200_000].into()),
        Format::Enveloped => {
            let chunk = iip_core::session::Chunk::new(&[], vec![1; 30_000].into());
            Payload::Chunks(vec![chunk; 7])
        }
    };
    let call = session
        .open(&Path::from_static("/x"), options, payload, now)
        .unwrap();
    feed(
        &mut session,
        frame(6, "/", 1, [0x0f, 0x80, 0, 0, 20, 4, 0, 0, 0, b'!']),
    );
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(
        matches!(events[..], [ClientEvent::Ready, ClientEvent::Draining]),
        "{events:?}"
    );
    (session, call, now)
}

/// Of every frame that the session sends its channel, its kind, and whether it is the ACK.
fn sent(session: &mut ClientSession) -> Vec<(u32, u8, bool)> {
    let mut decoder = Decoder::new(MAX_DATA);
    let mut frames = Vec::new();
    while session.has_output() {
        let mut output = Vec::new();
        session.poll_transmit(&mut output);
        let mut output = BytesMut::from(&output[..]);
        while let Decoded::Frame(frame) = decoder.decode(&mut output).unwrap() {
            let ack = frame.channel().0 == 1 && data(&frame).ends_with(&[21, 0]);
            frames.push((frame.channel().0, frame.kind().as_u8(), ack));
        }
    }
    frames
}

#[test]
fn what_was_begun_goes_out_before_the_acknowledgement() {
    for format in [Format::Raw, Format::Enveloped] {
        let (mut session, call, _) = draining(format);
        let frames = sent(&mut session);
        let channel = call.channel.0;
        let first = frames
            .iter()
            .position(|frame| *frame == (channel, 0, false));
        let ack = frames.iter().position(|frame| frame.2);
        assert!(first.unwrap() < ack.unwrap(), "{frames:?}");
        assert_eq!(frames.iter().filter(|frame| frame.2).count(), 1);
        assert!(frames.contains(&(channel, 3, false)));
    }
}

#[test]
fn what_was_withdrawn_is_not_waited_for() {
    for format in [Format::Raw, Format::Enveloped] {
        let (mut session, call, now) = draining(format);
        session.release(call, now);
        assert_eq!(sent(&mut session), [(1, 2, true)]);
    }
}
