use super::encodings::Encodings;
use super::json::Value;

fn written(encodings: Encodings) -> String {
    let mut text = String::new();
    encodings.write(&mut text);
    text
}

fn read(text: &str) -> Encodings {
    Encodings::read(Value::parse(text.as_bytes()).as_ref())
}

#[test]
fn known_names_are_written_and_read() {
    let some = Encodings::NONE.with("gzip").with("zstd").with("gzip");
    assert_eq!(written(some), r#"["zstd","gzip"]"#);
    assert_eq!(read(&written(some)), some);
    assert!(some.contains("gzip") && !some.contains("lz4"));
    assert_eq!(written(Encodings::NONE), "[]");
}

#[test]
fn what_is_not_known_is_ignored() {
    assert_eq!(
        read(r#"["br",1,{"a":["lz4"]},"lz4"]"#),
        Encodings::NONE.with("lz4")
    );
    for text in ["[]", "{}", "\"gzip\"", "1"] {
        assert_eq!(read(text), Encodings::NONE);
    }
    assert_eq!(Encodings::read(None), Encodings::NONE);
    assert!(!Encodings::NONE.with("br").contains("br"));
}
