use bytes::Bytes;
use proptest::prelude::*;

use super::{Direction, MessageBytes, read};

/// The records of `message`, cut where `cuts` say, with records between the parts that a reader skips.
pub(super) fn records_of(message: &[u8], cuts: &[usize], skipped: bool) -> Bytes {
    use iip_core::wire::record::{RecordKind, encode_header, encode_varint};
    let mut out = Vec::new();
    let mut put = |kind, payload: &[u8]| {
        out.extend_from_slice(&encode_header(kind, payload.len() as u64));
        out.extend_from_slice(payload);
    };
    let mut rest = message;
    let mut cuts = cuts.iter().copied();
    let (first, tail) = rest.split_at(cuts.next().unwrap_or(0).min(rest.len()));
    rest = tail;
    let mut payload = encode_varint(message.len() as u64).to_vec();
    payload.extend_from_slice(first);
    put(RecordKind::MESSAGE_START, &payload);
    while !rest.is_empty() {
        if skipped {
            put(RecordKind(0x91), b"skip me");
        }
        let len = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (part, tail) = rest.split_at(len);
        rest = tail;
        put(RecordKind::MESSAGE_PART, part);
    }
    Bytes::from(out)
}

fn parts(message: &[u8], cuts: &[usize], skipped: bool) -> MessageBytes {
    read(
        Direction::Request,
        records_of(message, cuts, skipped),
        usize::MAX,
    )
    .unwrap()
    .message
    .unwrap()
}

#[test]
fn an_empty_message_may_come_as_a_start_alone() {
    let message = parts(b"", &[], false);
    assert_eq!(message.len(), 0);
    assert!(message.into_bytes().is_empty());
}

proptest! {
    #[test]
    fn a_message_is_the_same_however_it_is_cut(
        text in ".{0,300}",
        numbers: Vec<u64>,
        cuts in proptest::collection::vec(0usize..60, 0..20),
        skipped: bool,
    ) {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Message {
            #[prost(string, tag = "1")]
            text: String,
            #[prost(uint64, repeated, tag = "2")]
            numbers: Vec<u64>,
        }
        let message = Message { text, numbers };
        let encoded = prost::Message::encode_to_vec(&message);
        let got = parts(&encoded, &cuts, skipped);
        prop_assert_eq!(got.len(), encoded.len());
        prop_assert_eq!(got.clone().decode::<Message>().unwrap(), message);
        prop_assert_eq!(&got.clone().into_bytes()[..], &encoded[..]);
        let (record, header) = got.clone().into_record();
        prop_assert_eq!(&record[usize::from(header)..], &encoded[..]);
    }
}
