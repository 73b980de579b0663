use proptest::prelude::*;

use crate::balance::{Target, Targets, Weight};
use crate::transport::Address;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

#[test]
fn lists_as_they_are_written() {
    let cases = [
        ("a:1", "iip://a:1"),
        ("a:1#1", "iip://a:1"),
        ("a:1#2,b:1", "iip://a:1#2,iip://b:1"),
        ("iip://a:9090#2,b:9090#1", "iip://a:9090#2,iip://b:9090"),
        (" a:1#100 ,\n b:1 ", "iip://a:1#100,iip://b:1"),
        (
            "[::1]:1#3,127.0.0.1:1#3",
            "iip://[::1]:1#3,iip://127.0.0.1:1#3",
        ),
        (
            "unix:///run/a.sock#5,unix:a.sock,memory://m#9,tcp://a:1",
            "unix:///run/a.sock#5,unix:a.sock,memory://m#9,iip://a:1",
        ),
        // Another port is another address.
        ("a:1,a:2", "iip://a:1,iip://a:2"),
    ];
    for (text, written) in cases {
        let targets: Targets = text.parse().expect(text);
        assert_eq!(targets.to_string(), written);
        assert_eq!(written.parse::<Targets>().unwrap(), targets);
    }
}

#[test]
fn what_is_refused_names_the_entry_and_the_reason() {
    let cases = [
        ("", "no targets; write host:port#weight"),
        (" ", "no targets"),
        ("a:1,", "a target is empty; remove the surplus comma"),
        (",a:1", "a target is empty"),
        ("a:1,,b:1", "a target is empty"),
        ("a:1,b", "invalid address \"b\": no port"),
        ("a:1,#2", "invalid address \"\""),
        (
            "a:1#",
            "invalid target \"a:1#\": behind # stands its weight",
        ),
        (
            "a:1,b:1#0",
            "\"b:1#0\": behind # stands its weight, and a weight is a whole number from 1 to 100",
        ),
        ("a:1#101", "from 1 to 100"),
        ("a:1#2#3", "invalid address \"a:1#2\""),
        ("http://a:1#2", "unknown scheme \"http\""),
        ("unix:///a#b.sock", "invalid target \"unix:///a#b.sock\""),
        (
            "b:1,a:1,A:1#2",
            "target \"iip://a:1#2\" is there twice, first as number 2",
        ),
        (
            "a:1,iip://a:1",
            "target \"iip://a:1\" is there twice, first as number 1",
        ),
    ];
    for (text, part) in cases {
        let error = text.parse::<Targets>().expect_err(text).to_string();
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
    let long = format!("a:1#{}", "9".repeat(10_000));
    let error = long.parse::<Targets>().unwrap_err().to_string();
    assert!(error.len() < 500, "{error}");
}

#[test]
fn lists_that_are_made() {
    let weight = Weight::new(3).unwrap();
    let heavy = Target::new(address("a:1"))
        .with_weight(weight)
        .with_locality("here");
    assert_eq!(heavy.weight(), weight);
    assert_eq!(heavy.locality().map(|zone| &**zone), Some("here"));
    assert_eq!(*heavy.address(), address("a:1"));
    let light = Target::from(address("unix:///a,b#c"));
    assert_eq!((light.weight(), light.locality()), (Weight::MIN, None));
    let targets = Targets::from_targets([heavy.clone(), light.clone()]).unwrap();
    assert_eq!(targets.len(), 2);
    assert_eq!(targets.into_vec(), [heavy.clone(), light]);
    let twice = Targets::from_targets([heavy, Target::from(address("a:1"))]);
    assert!(twice.unwrap_err().to_string().contains("there twice"));
    assert!(Targets::from_targets([]).is_err());
    assert_eq!(Targets::from(address("a:1")), "a:1".parse().unwrap());
}

proptest! {
    #[test]
    fn any_text_is_refused_or_round_trips(text in "[ab:#,1-9./unixmemory]{0,40}") {
        if let Ok(targets) = text.parse::<Targets>() {
            prop_assert!(!targets.is_empty());
            prop_assert_eq!(targets.to_string().parse::<Targets>().unwrap(), targets);
        }
    }

    #[test]
    fn lists_of_any_weights_round_trip(weights in prop::collection::vec(1u8..=100, 1..50)) {
        let entry = |(index, weight): (usize, &u8)| format!("10.0.0.1:{}#{weight}", index + 1);
        let text = weights.iter().enumerate().map(entry).collect::<Vec<_>>().join(",");
        let targets: Targets = text.parse().unwrap();
        let read: Vec<u8> = targets.iter().map(|target| target.weight().get()).collect();
        prop_assert_eq!(read, weights);
    }
}
