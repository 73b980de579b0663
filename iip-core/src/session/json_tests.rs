use super::json::{Value, write_string};
use proptest::prelude::*;

#[test]
fn objects_are_read() {
    let value = Value::parse(br#" {"code":0, "v":1,"text":"a\"\u00e9\ud83d\ude00","list":["zstd",{}],"x":1.5e3,"y":null} "#).unwrap();
    assert_eq!(value.get("code").unwrap().as_integer(), Some(0));
    assert_eq!(value.get("text").unwrap().as_str(), Some("a\"é😀"));
    assert_eq!(value.get("x"), Some(&Value::Other));
    assert!(value.get("none").is_none());
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "[1,]",
        "01",
        "-",
        "1.2.3",
        "\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "tru",
        "{} {}",
        "\"\n\"",
        "nullx",
    ] {
        assert_eq!(Value::parse(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(Value::parse(b"\"\xff\""), None);
}

#[test]
fn nesting_is_bounded() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Value::parse(deep(64).as_bytes()).is_some());
    assert!(Value::parse(deep(65).as_bytes()).is_none());
    assert!(Value::parse("[".repeat(1 << 20).as_bytes()).is_none());
}

proptest! {
    #[test]
    fn written_strings_read_back(text in any::<String>()) {
        let mut out = String::new();
        write_string(&mut out, &text);
        prop_assert!(!out.bytes().any(|byte| byte < 0x20));
        prop_assert_eq!(Value::parse(out.as_bytes()), Some(Value::String(text)));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Value::parse(&bytes);
    }
}

#[test]
fn escapes_and_words_are_read_and_written() {
    let text = br#"["\n\t\r\b\f\/\\\"", true, false, null, -7, 9223372036854775808]"#;
    let Some(Value::Array(items)) = Value::parse(text) else {
        panic!("no array");
    };
    assert_eq!(items[0].as_str(), Some("\n\t\r\u{8}\u{c}/\\\""));
    assert_eq!(items[1..4], [Value::Other, Value::Other, Value::Other]);
    assert_eq!(
        (
            items[4].as_integer(),
            items[5].as_integer(),
            items[4].as_str()
        ),
        (Some(-7), None, None)
    );
    assert!(items[4].get("x").is_none());
    let mut out = String::new();
    write_string(&mut out, "\n\r\t\u{1b}<\"\\é");
    assert_eq!(out, r#""\n\r\t\u001b\u003c\"\\é""#);
    for text in [
        "{\"a\":1 \"b\":2}",
        "[1 2]",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\\ud800\\u0041\"",
    ] {
        assert_eq!(Value::parse(text.as_bytes()), None, "{text}");
    }
}
