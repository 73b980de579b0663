use bytes::Bytes;
use proptest::prelude::*;

use crate::{Metadata, MetadataError, MetadataKey, MetadataValue};

#[test]
fn empty_metadata_is_one_word() {
    assert_eq!(size_of::<Metadata>(), size_of::<usize>());
    assert!(Metadata::new().is_empty());
}

#[test]
fn values_are_found_whatever_the_case_of_the_key() {
    let mut metadata = Metadata::new();
    metadata.insert("X-Name", "a").unwrap();
    metadata.append("x-name", "b".to_owned()).unwrap();
    metadata.insert("blob-bin", &[0, 255]).unwrap();
    assert_eq!(metadata.get("x-NAME"), Some("a"));
    assert_eq!(metadata.get_all("x-name").count(), 2);
    assert_eq!(metadata.get("blob-bin"), None);
    assert_eq!(metadata.get_bytes("blob-bin"), Some(&[0, 255][..]));
    assert_eq!(metadata.len(), 3);
    metadata.insert("x-name", "c").unwrap();
    assert_eq!(metadata.get("x-name"), Some("c"));
    assert_eq!(metadata.len(), 2);
    assert_eq!(
        metadata
            .remove("X-NAME")
            .map(|v| v.as_str().map(str::to_owned)),
        Some(Some("c".to_owned()))
    );
    assert_eq!(metadata.size(), "blob-bin".len() + 2);
    assert!(!metadata.contains_key("x-name"));
}

#[test]
fn metadata_is_made_in_one_expression() {
    let metadata = Metadata::new().with("k", "a").unwrap();
    let metadata = metadata.with("k", "b").unwrap().with("z-bin", &[0]);
    let metadata = metadata.unwrap();
    assert_eq!(metadata.get_all("k").count(), 1);
    assert_eq!(metadata.get("k"), Some("b"));
    assert_eq!(metadata.with("", "c").unwrap_err(), MetadataError::EmptyKey);
}

#[test]
fn keys_are_validated() {
    let key = |text: &str| MetadataKey::try_from(text).map(|key| key.to_string());
    assert_eq!(key("A-z_0.9"), Ok("a-z_0.9".to_owned()));
    assert_eq!(key(""), Err(MetadataError::EmptyKey));
    assert_eq!(key("a b"), Err(MetadataError::BadKeyByte { byte: b' ' }));
    assert_eq!(key("a\0"), Err(MetadataError::BadKeyByte { byte: 0 }));
    assert_eq!(key("ä"), Err(MetadataError::BadKeyByte { byte: 0xc3 }));
    assert!(key(&"k".repeat(128)).is_ok());
    assert_eq!(
        key(&"k".repeat(129)),
        Err(MetadataError::KeyTooLong { len: 129 })
    );
    let mut metadata = Metadata::new();
    assert_eq!(
        metadata.append_wire("Upper".to_owned(), Bytes::new()),
        Err(MetadataError::BadKeyByte { byte: b'U' })
    );
}

#[test]
fn text_values_are_printable_ascii() {
    let mut metadata = Metadata::new();
    for bad in ["a\nb", "a\0", "\u{7f}", "ä"] {
        assert!(matches!(
            metadata.insert("key", bad),
            Err(MetadataError::BadValueByte { .. })
        ));
        metadata.insert("key-bin", bad).unwrap();
    }
    assert_eq!(metadata.len(), 1);
}

#[test]
fn limits_hold_and_a_refused_change_changes_nothing() {
    let mut metadata = Metadata::new();
    let long = vec![0u8; MetadataValue::MAX_LEN + 1];
    assert_eq!(
        metadata.insert("k-bin", &long[..]),
        Err(MetadataError::ValueTooLong { len: long.len() })
    );
    for index in 0..Metadata::MAX_ENTRIES {
        metadata.append(format!("k{index}"), "").unwrap();
    }
    assert_eq!(
        metadata.append("k0", ""),
        Err(MetadataError::TooManyEntries)
    );
    metadata.insert("k0", "replaced").unwrap();
    assert_eq!(metadata.len(), Metadata::MAX_ENTRIES);

    let mut metadata = Metadata::new();
    metadata.insert("a-bin", &long[1..]).unwrap();
    let room = Metadata::MAX_SIZE - metadata.size() - "b-bin".len();
    assert_eq!(
        metadata.insert("b-bin", vec![0; room + 1]),
        Err(MetadataError::TooLarge {
            size: Metadata::MAX_SIZE + 1
        })
    );
    metadata.insert("b-bin", vec![0; room]).unwrap();
    assert_eq!(metadata.size(), Metadata::MAX_SIZE);
    assert!(metadata.insert("a-bin", &long[1..]).is_ok());
    assert_eq!(metadata.size(), Metadata::MAX_SIZE);
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let mut metadata = Metadata::new();
    metadata.insert("Authorization", "Bearer abc").unwrap();
    metadata.insert("x-session-token", "abc").unwrap();
    metadata.insert("trace", "shown").unwrap();
    assert_eq!(
        format!("{metadata:?}"),
        r#"{"authorization": <hidden>, "x-session-token": <hidden>, "trace": "shown"}"#
    );
}

#[test]
fn keys_of_secrets_are_known_by_their_names() {
    for key in [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-access-token",
        "token-bin",
        "x-api-key",
        "x_api_key",
        "my.api.key",
        "client-secret",
        "x-auth-request",
        "db-password",
        "aws-session-id",
        "x-amz-signature",
    ] {
        assert!(MetadataKey::from_static(key).is_sensitive(), "{key}");
    }
    for key in [
        "author",
        "traceparent",
        "x-request-id",
        "user-agent",
        "key",
        "session",
    ] {
        assert!(!MetadataKey::from_static(key).is_sensitive(), "{key}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_kept(key: String, value: String) {
        let mut metadata = Metadata::new();
        if metadata.insert(key.as_str(), value.as_str()).is_ok() {
            prop_assert_eq!(metadata.get_bytes(&key), Some(value.as_bytes()));
            let text = metadata.iter().next().unwrap().0.as_str();
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
        } else {
            prop_assert!(metadata.is_empty());
        }
    }
}
