use iip_core::server::Criticality;
use proptest::prelude::*;

use super::peek::Peek;
use super::{Direction, Head, read};
use crate::Metadata;

/// A request with this head.
fn request(timeout_us: Option<u64>, entries: &[(&str, &str)]) -> Vec<u8> {
    let mut metadata = Metadata::new();
    for (key, value) in entries {
        metadata.append(*key, *value).unwrap();
    }
    let mut records = Head::to_record(timeout_us, &metadata, None).to_vec();
    records.extend_from_slice(b"\x02\x03abc");
    records
}

#[test]
fn the_head_says_what_a_call_is_worth_and_how_long() {
    let of = |entries: &[(&str, &str)]| Peek::new(&request(Some(200_000), entries));
    for (text, criticality) in [
        ("sheddable", Criticality::Sheddable),
        ("critical", Criticality::Critical),
        ("critical_plus", Criticality::CriticalPlus),
        ("vital", Criticality::Critical),
    ] {
        let entries = [
            ("a", "sheddable"),
            ("x-criticality", text),
            ("x-other", "1"),
        ];
        let peek = of(&entries);
        assert_eq!(peek.criticality, criticality, "{text}");
        assert_eq!(peek.timeout_us, Some(200_000));
    }
    assert_eq!(
        of(&[("y-criticality", "sheddable")]).criticality,
        Criticality::Critical
    );
}

#[test]
fn without_a_head_a_call_is_an_ordinary_one() {
    let ordinary = Peek::default();
    assert_eq!(ordinary.criticality, Criticality::Critical);
    assert_eq!(Peek::new(b"\x02\x03abc"), ordinary);
    assert_eq!(Peek::new(b""), ordinary);
    // A message whose bytes are those of a head.
    let mut message = request(Some(1), &[("x-criticality", "sheddable")]);
    message[0] = 2;
    assert_eq!(Peek::new(&message), ordinary);
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let mut payload = vec![0x20, 7, 0x2d, 1, 2, 3, 4, 0x32, 2, b'h', b'i'];
    payload.extend_from_slice(b"\x08\x09");
    let mut record = vec![1, payload.len() as u8];
    record.extend_from_slice(&payload);
    assert_eq!(Peek::new(&record).timeout_us, Some(9));
}

proptest! {
    #[test]
    fn it_agrees_with_who_reads_the_request(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut records = vec![1, payload.len() as u8];
        records.extend_from_slice(&payload);
        records.extend_from_slice(b"\x02\x00");
        let peek = Peek::new(&records);
        if let Ok(inbound) = read(Direction::Request, records.into(), 100) {
            prop_assert_eq!(peek.timeout_us, inbound.head.timeout_us);
        }
    }
}
