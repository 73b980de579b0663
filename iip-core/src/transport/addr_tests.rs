use proptest::prelude::*;

use super::addr::Address;

#[test]
fn what_is_accepted_and_how_it_is_written() {
    let long_label = "a".repeat(63);
    let long_path = "p".repeat(106);
    let cases = [
        ("localhost:9090", "iip://localhost:9090"),
        ("iip://localhost:9090", "iip://localhost:9090"),
        ("tcp://localhost:9090", "iip://localhost:9090"),
        ("IIP://LocalHost:9090", "iip://localhost:9090"),
        ("iip://localhost:9090/", "iip://localhost:9090"),
        ("my_host.example.com.:1", "iip://my_host.example.com.:1"),
        ("127.0.0.1:0", "iip://127.0.0.1:0"),
        ("[::1]:9090", "iip://[::1]:9090"),
        ("iip://[0:0:0:0:0:0:0:1]:9090", "iip://[::1]:9090"),
        ("[fe80::1%2]:65535", "iip://[fe80::1%2]:65535"),
        ("7-of-9:80", "iip://7-of-9:80"),
        (
            &format!("{long_label}:80"),
            &format!("iip://{long_label}:80"),
        ),
        ("unix:///run/my app.sock", "unix:///run/my app.sock"),
        ("unix:/run/app.sock", "unix:///run/app.sock"),
        ("unix:app.sock", "unix:app.sock"),
        ("unix:./a%20b.sock", "unix:./a%20b.sock"),
        (
            &format!("unix:///{long_path}"),
            &format!("unix:///{long_path}"),
        ),
        ("memory://My-name_1.x", "memory://My-name_1.x"),
    ];
    for (text, canonical) in cases {
        let address: Address = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(address.to_string(), canonical);
        let again: Address = canonical.parse().unwrap();
        assert_eq!(again, address);
    }
}

#[test]
fn what_is_refused_and_what_the_message_advises() {
    let cases = [
        ("", "write host:port"),
        ("localhost", "write localhost:9090"),
        ("iip://localhost/", "write localhost:9090"),
        ("[::1]", "write [::1]:9090"),
        ("[::1]9090", "write [::1]:9090"),
        ("::1:9090", "write [::1]:9090"),
        ("[fe80::1%eth0]:9090", "number of the interface"),
        ("[127.0.0.1]:9090", "not an IPv6 address"),
        ("[::1]:", "the port \"\" is not a number"),
        (
            ":9090",
            "write 127.0.0.1:9090 for this machine, or 0.0.0.0:9090 to listen",
        ),
        ("host:", "the port \"\" is not a number from 0 to 65535"),
        ("host:+80", "the port \"+80\""),
        ("host:65536", "the port \"65536\""),
        ("host:http", "the port \"http\""),
        ("host:80/path", "remove \"/path\""),
        ("host:80?x=1", "remove \"?x=1\""),
        ("host:80#2", "remove \"#2\""),
        ("a:1,b:2", "one host:port"),
        ("me@host:80", "up to the @"),
        ("ho st:80", "' ' cannot be in a host name"),
        ("host\n:80", "'\\n' cannot be in a host name"),
        ("höst:80", "xn--"),
        ("a..b:80", "surplus dot"),
        (".:80", "surplus dot"),
        ("256.1.1.1:80", "four numbers up to 255"),
        ("1.2.3:80", "four numbers up to 255"),
        ("http://host:80", "unknown scheme \"http\""),
        ("/run/app.sock", "write unix:/run/app.sock"),
        ("./app.sock", "write unix:./app.sock"),
        ("unix:", "the path is empty"),
        ("unix://", "absolute path"),
        (
            "unix://app.sock",
            "unix:///app.sock for that, or unix:app.sock",
        ),
        ("unix:///a\0b", "NUL"),
        ("memory://", "the name is empty"),
        ("memory://a/b", "letters, digits"),
    ];
    for (text, advice) in cases {
        let error = text.parse::<Address>().expect_err(text).to_string();
        assert!(error.starts_with("invalid address "), "{error}");
        assert!(error.contains(advice), "{error:?} does not say {advice:?}");
    }
}

#[test]
fn limits_of_length() {
    let label = "a".repeat(64);
    let name = vec!["a".repeat(63); 4].join(".");
    let path = format!("unix:///{}", "p".repeat(107));
    let memory = format!("memory://{}", "m".repeat(129));
    for (text, part) in [
        (format!("{label}:1"), "longer than 63"),
        (format!("{name}:1"), "at most 253"),
        (path, "has 108 bytes, and the system takes 107"),
        (memory, "at most 128"),
    ] {
        let error = text.parse::<Address>().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(error.len() < 500, "{error}");
    }
}

#[test]
fn constructors_check_as_parsing_does() {
    assert_eq!(
        Address::tcp("::1", 80).unwrap(),
        "[::1]:80".parse().unwrap()
    );
    assert_eq!(
        Address::tcp("Host", 80).unwrap(),
        "host:80".parse().unwrap()
    );
    assert_eq!(Address::unix("/a").unwrap(), "unix:///a".parse().unwrap());
    assert_eq!(Address::memory("a").unwrap(), "memory://a".parse().unwrap());
    assert!(Address::tcp("host:80", 80).is_err());
    assert!(Address::tcp("", 80).is_err());
    assert!(Address::unix("").is_err());
    assert!(Address::memory("a b").is_err());
}

#[test]
fn parts() {
    let name: Address = "host:80".parse().unwrap();
    assert_eq!(
        (name.host().as_deref(), name.port()),
        (Some("host"), Some(80))
    );
    assert_eq!((name.socket_addr(), name.unix_path()), (None, None));
    let ip: Address = "[::1]:80".parse().unwrap();
    assert_eq!(ip.host().as_deref(), Some("::1"));
    assert_eq!(ip.socket_addr(), Some("[::1]:80".parse().unwrap()));
    let unix: Address = "unix:a".parse().unwrap();
    assert_eq!(unix.unix_path(), Some(std::path::Path::new("a")));
    assert_eq!((unix.host(), unix.port()), (None, None));
    assert_eq!(format!("{unix:?}"), "Address(unix:a)");
}

proptest! {
    #[test]
    fn any_text_is_refused_or_round_trips(
        text in prop_oneof![
            any::<String>(),
            "(iip://|tcp://|unix:|unix://|memory://|)[\\[\\]a-z0-9:./%@-]{0,40}",
        ]
    ) {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }
}
