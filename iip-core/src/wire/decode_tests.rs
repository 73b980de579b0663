use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{
    ChannelId, Decoded, Decoder, FrameKind, MAX_DATA, MAX_HEADER, MAX_PATH, WireError,
    encode_frame, encode_header,
};

fn frame(kind: FrameKind, path: &str, channel: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(encode_frame(&mut out, kind, path, ChannelId(channel), data));
    out
}

/// A header that announces `length`, whatever that is.
fn header(kind: u8, path: &[u8], channel: u32, length: u32) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(path);
    out.push(0);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out
}

type Seen = (FrameKind, Vec<u8>, u32, Vec<u8>);

/// Feeds `pieces` one after another and takes every frame there is after each.
fn decode_pieces<'a>(
    max_data: u32,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Seen>, Result<Decoded, WireError>) {
    let mut decoder = Decoder::new(max_data);
    let mut buf = BytesMut::new();
    let mut seen = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buf) {
                Ok(Decoded::Frame(frame)) => seen.push((
                    frame.kind(),
                    frame.path().to_vec(),
                    frame.channel().0,
                    frame.into_data().to_vec(),
                )),
                Ok(Decoded::Incomplete) => break,
                end => return (seen, end),
            }
        }
    }
    (seen, Ok(Decoded::Incomplete))
}

#[test]
fn every_first_byte_is_a_kind_or_refused() {
    for byte in 0..=255u8 {
        let mut bytes = header(byte, b"/p", 3, 1);
        bytes.push(b'x');
        let (seen, end) = decode_pieces(MAX_DATA, [&bytes[..]]);
        match byte {
            0..=7 => {
                assert_eq!(end, Ok(Decoded::Incomplete));
                assert_eq!(seen.len(), 1);
                assert_eq!(seen[0].0.as_u8(), byte);
                assert_eq!(
                    (&seen[0].1[..], seen[0].2, &seen[0].3[..]),
                    (&b"/p"[..], 3, &b"x"[..])
                );
            }
            8 => assert_eq!((seen, end), (vec![], Ok(Decoded::Close))),
            _ => assert_eq!((seen, end), (vec![], Err(WireError::UnknownKind(byte)))),
        }
        // The kind alone decides, before anything else has arrived.
        let (_, end) = decode_pieces(MAX_DATA, [&[byte][..]]);
        match byte {
            0..=7 => assert_eq!(end, Ok(Decoded::Incomplete)),
            8 => assert_eq!(end, Ok(Decoded::Close)),
            _ => assert_eq!(end, Err(WireError::UnknownKind(byte))),
        }
    }
}

#[test]
fn kinds_say_their_place() {
    // Written from the table of the protocol: whose, begins, completes.
    let table = [
        (0, "request", true, false),
        (1, "request", true, true),
        (2, "request", false, false),
        (3, "request", false, true),
        (4, "response", true, false),
        (5, "response", true, true),
        (6, "response", false, false),
        (7, "response", false, true),
        (8, "close", false, false),
    ];
    for (byte, whose, first, last) in table {
        let kind = FrameKind::from_u8(byte).unwrap();
        assert_eq!(kind.as_u8(), byte);
        assert_eq!(kind.is_request(), whose == "request", "{kind:?}");
        assert_eq!(kind.is_response(), whose == "response", "{kind:?}");
        assert_eq!((kind.is_first(), kind.is_last()), (first, last), "{kind:?}");
        match whose {
            "request" => assert_eq!(FrameKind::request(first, last), kind),
            "response" => assert_eq!(FrameKind::response(first, last), kind),
            _ => {}
        }
    }
    assert_eq!(FrameKind::from_u8(9), None);
}

#[test]
fn the_recorded_bytes_decode() {
    let bytes = b"\x01/echo\0\0\0\0\x01\0\0\0\x02hi\x05/echo\0\0\0\0\x01\0\0\0\x02hi";
    let (seen, end) = decode_pieces(MAX_DATA, [&bytes[..]]);
    assert_eq!(end, Ok(Decoded::Incomplete));
    let expected = |kind| (kind, b"/echo".to_vec(), 1, b"hi".to_vec());
    assert_eq!(
        seen,
        [
            expected(FrameKind::RequestWhole),
            expected(FrameKind::ResponseWhole)
        ]
    );
    assert_eq!(
        frame(FrameKind::RequestWhole, "/echo", 1, b"hi"),
        bytes[..17]
    );
}

#[test]
fn kind_8_acts_alone_and_hides_what_follows() {
    let mut bytes = frame(FrameKind::RequestWhole, "/a", 1, b"1");
    bytes.push(8);
    bytes.extend(frame(FrameKind::RequestWhole, "/b", 1, b"2"));
    let (seen, end) = decode_pieces(MAX_DATA, [&bytes[..]]);
    assert_eq!((seen.len(), end), (1, Ok(Decoded::Close)));
    let full = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decode_pieces(MAX_DATA, [&full[..]]).1, Ok(Decoded::Close));
    assert_eq!(decode_pieces(MAX_DATA, [&[8][..]]).1, Ok(Decoded::Close));
}

#[test]
fn zero_length_is_refused_for_every_kind() {
    for kind in 0..8 {
        let bytes = header(kind, b"/p", 1, 0);
        assert_eq!(
            decode_pieces(MAX_DATA, [&bytes[..]]).1,
            Err(WireError::EmptyData)
        );
    }
}

#[test]
fn an_empty_path_is_refused_at_its_nul() {
    for kind in 0..8 {
        assert_eq!(
            decode_pieces(MAX_DATA, [&[kind, 0][..]]).1,
            Err(WireError::EmptyPath)
        );
    }
}

#[test]
fn lengths_beyond_the_limit_are_refused_without_memory() {
    for (max_data, length) in [
        (MAX_DATA, MAX_DATA + 1),
        (MAX_DATA, u32::MAX),
        (u32::MAX, MAX_DATA + 1),
        (100, 101),
        (0, 2),
    ] {
        let mut decoder = Decoder::new(max_data);
        let mut buf = BytesMut::from(&header(1, b"/p", 1, length)[..]);
        let capacity = buf.capacity();
        let limit = max_data.clamp(1, MAX_DATA);
        assert_eq!(
            decoder.decode(&mut buf),
            Err(WireError::DataTooLong { length, limit })
        );
        assert_eq!(buf.capacity(), capacity);
    }
}

#[test]
fn the_largest_length_sets_no_memory_aside() {
    let mut decoder = Decoder::new(MAX_DATA);
    let bytes = header(1, b"/p", 1, MAX_DATA);
    let mut buf = BytesMut::from(&bytes[..]);
    let capacity = buf.capacity();
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
    assert_eq!((buf.len(), buf.capacity()), (bytes.len(), capacity));
    assert_eq!(
        decoder.pending().map(|header| header.length),
        Some(MAX_DATA)
    );
    assert_eq!(decoder.missing(buf.len()), MAX_DATA as usize);
    assert!(!decoder.is_between_frames(buf.len()) && !decoder.is_inside_header(buf.len()));
}

#[test]
fn the_longest_path_is_accepted_and_one_byte_more_is_not() {
    let path = format!("/{}", "a".repeat(MAX_PATH - 1));
    let bytes = frame(FrameKind::RequestWhole, &path, 1, b"x");
    assert_eq!(bytes.len(), MAX_HEADER + 1);
    let (seen, _) = decode_pieces(MAX_DATA, [&bytes[..]]);
    assert_eq!(seen[0].1.len(), MAX_PATH);
    let (seen, _) = decode_pieces(MAX_DATA, bytes.chunks(1));
    assert_eq!(seen[0].1.len(), MAX_PATH);

    let mut decoder = Decoder::new(MAX_DATA);
    let mut buf = BytesMut::from(&[1u8][..]);
    for count in 1..=MAX_PATH {
        buf.extend_from_slice(b"a");
        assert_eq!(
            decoder.decode(&mut buf),
            Ok(Decoded::Incomplete),
            "byte {count}"
        );
    }
    assert!(decoder.is_inside_header(buf.len()));
    buf.extend_from_slice(b"a");
    assert_eq!(decoder.decode(&mut buf), Err(WireError::PathTooLong));
    // The same at once, with a NUL that comes too late.
    let mut late = vec![1];
    late.resize(1 + MAX_PATH + 1, b'a');
    late.extend_from_slice(&[0; 9]);
    assert_eq!(
        decode_pieces(MAX_DATA, [&late[..]]).1,
        Err(WireError::PathTooLong)
    );
}

#[test]
fn no_byte_is_looked_at_twice() {
    // A byte that was looked at may change without the decoder noticing: that is how it is known not to look again.
    let mut decoder = Decoder::new(MAX_DATA);
    let mut buf = BytesMut::from(&[1u8][..]);
    for _ in 0..MAX_PATH {
        buf.extend_from_slice(b"a");
        assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
        let looked_at = buf.len() - 1;
        buf[looked_at] = 0;
    }
    buf.extend_from_slice(&[0, 0, 0, 0, 1]);
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
    buf.extend_from_slice(&[0, 0, 0, 2, b'h']);
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
    let pending = *decoder.pending().unwrap();
    assert_eq!(
        (pending.encoded_length(), pending.channel),
        (MAX_HEADER, ChannelId(1))
    );
    // Nor is the header read again while data arrives.
    buf[0] = 99;
    buf[MAX_HEADER - 1] = 77;
    buf.extend_from_slice(b"i");
    match decoder.decode(&mut buf) {
        Ok(Decoded::Frame(frame)) => assert_eq!(&frame.into_data()[..], b"hi"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn path_and_data_stay_in_the_read_buffer() {
    let mut buf = BytesMut::from(&frame(FrameKind::RequestWhole, "/echo", 1, &[7; 1000])[..]);
    let start = buf.as_ptr() as usize;
    let end = start + buf.len();
    let Ok(Decoded::Frame(frame)) = Decoder::new(MAX_DATA).decode(&mut buf) else {
        panic!("no frame");
    };
    let path = frame.path_bytes();
    assert_eq!(path.as_ptr() as usize, start + 1);
    assert_eq!(&path[..], b"/echo");
    let data: Bytes = frame.into_data();
    assert_eq!(data.as_ptr() as usize + data.len(), end);
    assert_eq!(&data[..], &[7; 1000]);
}

#[test]
fn skipped_data_is_dropped_as_it_arrives() {
    let mut decoder = Decoder::new(MAX_DATA);
    let mut buf = BytesMut::from(&header(0, b"/big", 9, 10_000)[..]);
    assert!(decoder.skip(&mut buf).is_none(), "nothing is pending yet");
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
    buf.extend_from_slice(&[1; 10]);
    let frame = decoder.skip(&mut buf).unwrap();
    assert_eq!(
        (frame.kind(), frame.channel(), frame.path()),
        (FrameKind::RequestFirst, ChannelId(9), &b"/big"[..])
    );
    assert_eq!(frame.header().length, 10_000);
    assert!(frame.into_data().is_empty());
    assert!(decoder.pending().is_none() && decoder.skip(&mut buf).is_none());
    let mut left = 10_000;
    while left > 0 {
        assert_eq!(decoder.missing(0), left);
        let step = left.min(999).max(buf.len());
        buf.resize(step, 1);
        assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
        assert!(buf.is_empty(), "skipped data is not kept");
        assert!(left == step || !decoder.is_between_frames(0));
        left -= step;
    }
    assert!(decoder.is_between_frames(0));
    buf.extend_from_slice(&self::frame(FrameKind::RequestLast, "/", 9, b"end"));
    assert!(matches!(decoder.decode(&mut buf), Ok(Decoded::Frame(_))));
}

#[test]
fn a_frame_behind_skipped_data_is_found() {
    let mut decoder = Decoder::new(MAX_DATA);
    let mut buf = BytesMut::from(&header(0, b"/big", 9, 4)[..]);
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
    assert!(decoder.skip(&mut buf).is_some());
    buf.extend_from_slice(b"\x08\x08\x08\x08");
    buf.extend_from_slice(&frame(FrameKind::RequestLast, "/", 9, b"end"));
    assert!(matches!(decoder.decode(&mut buf), Ok(Decoded::Frame(_))));
}

#[test]
fn where_the_input_ends_is_known() {
    let mut decoder = Decoder::new(MAX_DATA);
    assert!(decoder.is_between_frames(0) && !decoder.is_inside_header(0));
    let mut buf = BytesMut::from(&b"\x01/a"[..]);
    assert_eq!(decoder.decode(&mut buf), Ok(Decoded::Incomplete));
    assert!(!decoder.is_between_frames(3) && decoder.is_inside_header(3));
    assert_eq!((decoder.missing(3), decoder.pending()), (0, None));
    assert_eq!(
        Decoder::new(0).decode(&mut BytesMut::new()),
        Ok(Decoded::Incomplete)
    );
}

#[test]
fn data_that_is_no_frame_is_not_encoded() {
    let mut out = vec![1, 2];
    let root = |out: &mut Vec<u8>, data: &[u8]| {
        encode_frame(out, FrameKind::RequestWhole, "/", ChannelId(0), data)
    };
    assert!(!root(&mut out, b""));
    let large = vec![0; MAX_DATA as usize + 1];
    assert!(!root(&mut out, &large));
    assert_eq!(out, [1, 2]);
    assert!(root(&mut out, &large[1..]));
    let (seen, _) = decode_pieces(MAX_DATA, [&out[2..]]);
    assert_eq!(seen[0].3.len(), MAX_DATA as usize);
}

#[test]
fn errors_name_their_numbers() {
    for (error, parts) in [
        (WireError::UnknownKind(77), &["77", "unknown"][..]),
        (WireError::EmptyPath, &["empty path"]),
        (WireError::PathTooLong, &["2048"]),
        (WireError::EmptyData, &["no data"]),
        (
            WireError::DataTooLong {
                length: 12,
                limit: 11,
            },
            &["12", "11"],
        ),
    ] {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(std::error::Error::source(&error).is_none());
    }
}

fn any_frame() -> impl Strategy<Value = Seen> {
    (
        0..8u8,
        "/[a-z]{0,30}",
        any::<u32>(),
        proptest::collection::vec(any::<u8>(), 1..200),
    )
        .prop_map(|(kind, path, channel, data)| {
            (
                FrameKind::from_u8(kind).unwrap(),
                path.into_bytes(),
                channel,
                data,
            )
        })
}

proptest! {
    #[test]
    fn frames_come_back_under_any_split(
        frames in proptest::collection::vec(any_frame(), 0..12),
        cuts in proptest::collection::vec(1..60usize, 0..80),
    ) {
        let mut bytes = Vec::new();
        for (kind, path, channel, data) in &frames {
            let path = std::str::from_utf8(path).unwrap();
            let before = bytes.len();
            encode_header(&mut bytes, *kind, path, ChannelId(*channel), data.len() as u32);
            prop_assert_eq!(bytes.len() - before, path.len() + 10);
            bytes.extend_from_slice(data);
        }
        let (at_once, end) = decode_pieces(MAX_DATA, [&bytes[..]]);
        prop_assert_eq!(&at_once, &frames);
        prop_assert_eq!(end, Ok(Decoded::Incomplete));
        prop_assert_eq!(&decode_pieces(MAX_DATA, bytes.chunks(1)).0, &frames);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(&decode_pieces(MAX_DATA, pieces).0, &frames);
    }

    #[test]
    fn any_bytes_mean_the_same_under_any_split(
        mut bytes in proptest::collection::vec(prop_oneof![4 => 0..9u8, 1 => any::<u8>()], 0..400),
        step in 1..20usize,
    ) {
        if let Some(first) = bytes.first_mut() {
            *first &= 7;
        }
        let at_once = decode_pieces(64, [&bytes[..]]);
        prop_assert_eq!(decode_pieces(64, bytes.chunks(step)), at_once);
    }
}
