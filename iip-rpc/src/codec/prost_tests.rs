use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};

use super::{decode, encode_record};
use crate::Code;

#[test]
fn a_message_is_one_record() {
    let (record, header) = encode_record(&"hello".to_owned()).unwrap();
    assert_eq!(&record[..], b"\x02\x07\x0a\x05hello");
    assert_eq!(header, 2);
    assert_eq!(decode::<String>(&record[2..]).unwrap(), "hello");
    let (record, header) = encode_record(&()).unwrap();
    assert_eq!(&record[..], b"\x02\x00");
    assert_eq!(header, 2);
}

#[test]
fn a_large_message_is_one_record() {
    let text = "x".repeat(100_000);
    let (record, header) = encode_record(&text).unwrap();
    assert_eq!(record.len() - usize::from(header), 100_004);
    assert_eq!(
        decode::<String>(&record[usize::from(header)..]).unwrap(),
        text
    );
}

#[test]
fn what_is_no_message_is_refused() {
    assert!(decode::<String>(&b"\x0a\x05hell"[..]).is_err());
}

/// A message that announces one byte and writes two.
#[derive(Debug, Default)]
struct Liar;

impl prost::Message for Liar {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&[8, 1]);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: WireType,
        _: &mut impl Buf,
        _: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn clear(&mut self) {}
}

#[test]
fn a_message_that_lies_about_its_length_is_not_sent() {
    let error = encode_record(&Liar).unwrap_err();
    assert_eq!(error.code(), Code::Internal);
}
