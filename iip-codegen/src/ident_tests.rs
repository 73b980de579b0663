use crate::ident::{is_function, is_type, to_constant, to_snake, to_upper_camel, to_variant};

#[test]
fn snake_case_matches_what_prost_makes_of_methods() {
    for (proto, rust) in [
        ("SayHello", "say_hello"),
        ("sayHello", "say_hello"),
        ("say_hello", "say_hello"),
        ("SAY_HELLO", "say_hello"),
        ("XMLHttpRequest", "xml_http_request"),
        ("FooBarBAZ", "foo_bar_baz"),
        ("FuzZ_", "fuz_z"),
        ("field0name5", "field0name5"),
        ("field_0_name6", "field_0_name6"),
        ("HTTP2Get", "http2_get"),
        ("GetV1Beta2", "get_v1_beta2"),
        ("A", "a"),
        ("While", "r#while"),
        ("Gen", "r#gen"),
        ("Self", "self_"),
        ("Crate", "crate_"),
        ("_3D", "_3d"),
        ("__x__y", "x_y"),
        ("_", ""),
    ] {
        assert_eq!(to_snake(proto), rust, "{proto}");
    }
}

#[test]
fn upper_camel_case_matches_what_prost_makes_of_messages() {
    for (proto, rust) in [
        ("HelloRequest", "HelloRequest"),
        ("hello_request", "HelloRequest"),
        ("HELLO_REQUEST", "HelloRequest"),
        ("HTTPServer", "HttpServer"),
        ("fuzzBuster", "FuzzBuster"),
        ("F", "F"),
        ("self", "Self_"),
        ("_3d", "_3d"),
        ("type", "Type"),
    ] {
        assert_eq!(to_upper_camel(proto), rust, "{proto}");
    }
}

#[test]
fn a_constant_is_named_after_its_function() {
    assert_eq!(to_constant("say_hello"), "SAY_HELLO");
    assert_eq!(to_constant("r#match"), "MATCH");
    assert_eq!(to_constant("self_"), "SELF_");
}

#[test]
fn a_variant_loses_the_name_of_its_enum() {
    assert_eq!(to_variant("Color", "COLOR_RED"), "Red");
    assert_eq!(to_variant("Color", "RED"), "Red");
    assert_eq!(to_variant("Color", "COLORFUL"), "Colorful");
    assert_eq!(to_variant("Color", "COLOR"), "Color");
    assert_eq!(to_variant("Color", "COLOR_SELF"), "Self_");
    assert_eq!(to_variant("Color", "COLOR_3D"), "Color3d");
}

#[test]
fn keywords_and_symbols_are_no_identifiers() {
    for good in ["a", "_a", "say_hello1"] {
        assert!(is_function(good), "{good}");
    }
    for bad in [
        "", "1a", "a b", "a-b", "r#a", "match", "self", "_", "ä", "sayHello",
    ] {
        assert!(!is_function(bad), "{bad}");
    }
    assert!(is_type("Greeter"));
    assert!(!is_type("greeter"));
    assert!(!is_type("Self"));
}
