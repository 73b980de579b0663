use std::thread::available_parallelism;
use std::time::Duration;

use iip_load::{Arguments, Failure};

use crate::{Contender, Cores, Name, ReferenceOptions};

fn read(text: &str) -> Result<ReferenceOptions, Failure> {
    ReferenceOptions::read(Arguments::read(text.split_whitespace().map(str::to_owned))?)
}

fn all() -> usize {
    available_parallelism().unwrap().get()
}

#[test]
fn nothing_asked_for_is_the_benchmark_itself() {
    let options = read("").unwrap();
    assert_eq!((options.callers, options.size), (64, 14 * 1024));
    assert_eq!(
        (options.rounds, options.duration),
        (7, Duration::from_secs(2))
    );
    assert_eq!(options.pool, all().max(2));
    assert_eq!(options.cores.0.first(), Some(&1));
    assert_eq!(options.cores.0.last(), Some(&all()));
    assert_eq!(options.contenders, Contender::DEFAULT);
}

#[test]
fn options_are_read() {
    let options = read(
        "--rounds 1 --callers 3 --size 32 --pool 5 --cores all,1,1 --contenders raw:pool,http1 --chart a.svg",
    )
    .unwrap();
    assert_eq!((options.rounds, options.callers), (1, 3));
    assert_eq!((options.size, options.pool), (32, 5));
    assert_eq!(options.cores, Cores::default());
    assert_eq!(
        options.contenders,
        [
            Contender {
                name: Name::Raw,
                pool: true
            },
            Contender {
                name: Name::Http1,
                pool: false
            },
        ]
    );
    assert_eq!(options.chart, Some("a.svg".into()));
}

#[test]
fn what_cannot_be_done_is_refused() {
    for text in [
        "--rounds 0",
        "--callers 0",
        "--size 0",
        "--pool 0",
        "--cores 0",
        "--cores 100000",
        "--cores one",
        "--contenders grpc",
        "--contenders http1:pool",
        "--contenders core:pools",
        "--workloads echo:32:1",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn contenders_read_as_they_are_written() {
    for contender in Contender::DEFAULT {
        assert_eq!(contender.to_string().parse(), Ok(contender));
    }
}

#[test]
fn callers_share_a_connection_a_pool_or_none() {
    let title = |text: &str| {
        let contender: Contender = text.parse().unwrap();
        contender.title(contender.connections(64, 2))
    };
    assert_eq!(title("core"), "iip-core, one connection");
    assert_eq!(title("iip:pool"), "iip-rpc, typed, pool of 2");
    assert_eq!(
        title("http1"),
        "HTTP/1.1 keep-alive (hyper), 64 connections"
    );
}
