use super::{MAX_PATH, Path, PathError};
use bytes::Bytes;
use proptest::prelude::*;

#[test]
fn canonical_paths_pass() {
    for text in [
        "/",
        "/echo",
        "/helloworld.Greeter/SayHello",
        "/a/",
        "/a-b/c_d/~e/...x",
        "/query?id=123&name=abc",
        "/q?",
        "/q?a=%20b&c=%C3%A9",
    ] {
        assert_eq!(Path::new(text).unwrap().as_str(), text);
        assert!(Path::from_wire(Bytes::copy_from_slice(text.as_bytes())).is_ok());
    }
}

#[test]
fn other_spellings_are_refused() {
    for text in [
        "",
        "echo",
        "//echo",
        "/a//b",
        "/./a",
        "/a/..",
        "/..",
        "/a/./b",
        "/ec%68o",
        "/%2e%2e/a",
        "/a%2fb",
        "/a b",
        "/a;b",
        "/a:b",
        "/é",
        "/a#f",
        "http://h/echo",
        "/a\0b",
        "/a\n",
        "/a\x1b",
        "/q?%00",
        "/q?%0a",
        "/q?%7f",
        "/q?%zz",
        "/q?%4",
        "/q?%",
        "/q?a b",
        "/q?%ff",
        "/q?#",
        "/q?\"",
        "?x=1",
        "/a\\b",
        "/a|b",
    ] {
        assert!(Path::new(text).is_err(), "{text:?} must be refused");
    }
    assert_eq!(Path::new("/a\0b"), Err(PathError::BadByte(0)));
}

#[test]
fn length_is_bounded() {
    let longest = format!("/{}", "a".repeat(MAX_PATH - 1));
    assert!(Path::new(&longest).is_ok());
    assert_eq!(Path::new(&format!("{longest}a")), Err(PathError::TooLong));
}

#[test]
fn queries_are_decoded() {
    let path = Path::new("/query?id=123&name=a+b%26c&&flag&name=second&x=%C3%A9").unwrap();
    assert_eq!(path.path(), "/query");
    assert_eq!(path.query_value("id").unwrap(), "123");
    assert_eq!(path.query_value("name").unwrap(), "a b&c");
    assert_eq!(path.query_value("flag").unwrap(), "");
    assert_eq!(path.query_value("x").unwrap(), "é");
    assert_eq!(path.query_value("none"), None);
    assert_eq!(path.query_pairs().count(), 5);
    assert_eq!(path.without_query().as_str(), "/query");
    assert_eq!(path.without_query().query(), None);
}

proptest! {
    #[test]
    fn any_text_is_refused_or_kept_exactly(text in "\\PC{0,40}|/[a-z%?&=.\\x00-\\x20/0-9]{0,40}") {
        if let Ok(path) = Path::new(&text) {
            prop_assert_eq!(path.as_str(), &text);
            prop_assert!(!text.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)));
            prop_assert!(path.query_pairs().all(|(key, value)| !key.contains('\0') && !value.contains('\0')));
        }
    }

    #[test]
    fn wire_and_text_agree(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let wire = Path::from_wire(Bytes::copy_from_slice(&bytes));
        match std::str::from_utf8(&bytes) {
            Ok(text) => prop_assert_eq!(wire, Path::new(text)),
            Err(_) => prop_assert!(wire.is_err()),
        }
    }
}

#[test]
fn errors_name_what_is_wrong() {
    for (text, part) in [
        ("x", "begin with '/'"),
        ("/a//b", "dot segments"),
        ("/a b", "0x20"),
        ("/a?%0", "escapes"),
        (&"/a".repeat(1025)[..], "2048"),
    ] {
        let error = text.parse::<Path>().unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let path: Path = "/a?b=c".parse().unwrap();
    assert_eq!(
        (path.to_string(), format!("{path:?}")),
        ("/a?b=c".into(), "Path(\"/a?b=c\")".into())
    );
}

#[test]
#[should_panic(expected = "not a canonical path")]
fn a_constant_that_is_no_path_does_not_build() {
    let _ = Path::from_static("//");
}
