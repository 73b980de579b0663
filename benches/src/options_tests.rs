use std::time::Duration;

use iip_load::{Arguments, Failure};

use crate::{CompareOptions, MemoryOptions, Name, Suite};

fn read(text: &str) -> Result<CompareOptions, Failure> {
    CompareOptions::read(Arguments::read(text.split_whitespace().map(str::to_owned))?)
}

#[test]
fn nothing_asked_for_is_everything() {
    let options = read("").unwrap();
    assert_eq!(
        (options.rounds, options.duration),
        (7, Duration::from_secs(2))
    );
    assert_eq!(options.workloads, Suite::default());
    assert_eq!(options.frameworks, Name::COMPARED);
}

#[test]
fn options_are_read() {
    let options =
        read("--rounds 3 --seconds 0.5 --workloads echo:32:1 --frameworks raw,iip").unwrap();
    assert_eq!(
        (options.rounds, options.duration),
        (3, Duration::from_millis(500))
    );
    assert_eq!(options.workloads.calls.len(), 1);
    assert_eq!(options.frameworks, [Name::Raw, Name::Iip]);
}

#[test]
fn what_cannot_be_done_is_refused() {
    for text in [
        "--rounds 0",
        "--seconds -1",
        "--frameworks grpc",
        "--workloads x",
        "--round 1",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn memory_opens_two_thousand_connections() {
    let options = MemoryOptions::read(Arguments::read([]).unwrap()).unwrap();
    assert_eq!(options.connections, 2_000);
}
