use bytes::Bytes;

use super::Details;

#[test]
fn details_are_the_bytes_they_were_made_of() {
    let bytes = Bytes::from_static(b"any");
    let details = Details::from(bytes.clone());
    assert_eq!(&details[..], b"any");
    assert_eq!(details.as_bytes(), &bytes);
    assert_eq!(Bytes::from(details), bytes);
    assert!(Details::default().is_empty());
}
