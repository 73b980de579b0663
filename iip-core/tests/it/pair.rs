//! A client's and a server's session against each other in virtual time, over a byte pipe that cuts and delays as it
//! likes. Every payload is unique, so that an answer that reached another call would be seen.

mod calls;
mod content;
mod pipe;
mod world;

use std::time::Duration;

use calls::Count;
use iip_core::session::Ended;
use world::World;

/// Runs until `calls` have ended, each with its own answer.
fn run(seed: u64, calls: usize, plain: bool) -> Count {
    let mut world = World::new(seed, plain);
    while world.count.begun < calls {
        world.round(true);
    }
    let mut rounds = 0;
    while !world.is_quiet() {
        world.round(false);
        rounds += 1;
        assert!(rounds < 1_000_000, "seed {seed}: the calls do not end");
    }
    let count = world.count;
    assert_eq!(
        count.answered + count.given_up + count.expired,
        count.begun,
        "seed {seed}"
    );
    assert_eq!(world.client.in_flight(), 0);
    // What was held and lent is given back.
    assert_eq!(
        (
            world.server.held(),
            world.server.lent(),
            world.client.lent()
        ),
        (0, 0, 0),
        "seed {seed}"
    );
    // Every channel came back: tombstones too.
    world.client.close();
    assert_eq!(
        world.client.ended(),
        Some(&Ended::Locally),
        "seed {seed}: a channel did not come back"
    );
    count
}

fn run_all(seeds: std::ops::Range<u64>, calls: usize, plain: bool) {
    let mut answered = 0;
    let mut begun = 0;
    let mut cancelled = 0;
    for seed in seeds {
        let count = run(seed, calls, plain);
        answered += count.answered;
        begun += count.begun;
        cancelled += count.cancelled;
    }
    assert_eq!(
        cancelled > begun / 1000,
        !plain,
        "{cancelled} were cancelled"
    );
    assert!(
        answered * 10 > begun * 8,
        "{answered} of {begun} calls were answered"
    );
}

#[test]
fn three_hundred_thousand_calls_over_few_connections() {
    run_all(0..6, 50_000, false);
}

#[test]
fn three_hundred_thousand_calls_over_some_connections() {
    run_all(100..130, 10_000, false);
}

#[test]
fn two_hundred_thousand_calls_over_many_connections() {
    run_all(1000..1400, 500, false);
}

#[test]
fn two_hundred_thousand_calls_of_plain_peers() {
    run_all(5000..5020, 10_000, true);
}

/// Cuts the connection at a random byte. Every call that was not answered learns whether it may have run, and what it
/// learns is true, whatever of the bytes on their way still arrives.
fn cut(seed: u64, plain: bool) -> Count {
    let mut world = World::new(seed, plain);
    let rounds = world.rng.usize(1..120);
    for _ in 0..rounds {
        world.round(true);
    }
    let limit = world.rng.usize(..3000);
    world.write_client(limit);
    world
        .client
        .end(Ended::Io(std::io::ErrorKind::ConnectionReset));
    let outcomes: Vec<(u64, bool)> = world
        .calls
        .iter()
        .flatten()
        .map(|call| (call.id, call.call))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(id, call)| (id, world.client.may_have_run(call)))
        .collect();
    world.count.lost = outcomes.len();
    world.now += Duration::from_secs(1);
    let arrives = if world.rng.bool() {
        usize::MAX
    } else {
        world.rng.usize(..4000)
    };
    world.read_server(arrives);
    while arrives == usize::MAX && world.server.wants_read() && !world.to_server.pieces.is_empty() {
        world.read_server(arrives);
    }
    for (id, may_have_run) in outcomes {
        let ran = world.ran[world.index(id)];
        assert!(
            may_have_run || !ran,
            "seed {seed}: call {id} ran, and is said not to have"
        );
    }
    let count = world.count;
    assert_eq!(
        count.answered + count.given_up + count.expired + count.lost,
        count.begun,
        "seed {seed}"
    );
    count
}

#[test]
fn a_connection_lost_at_any_byte() {
    let mut lost = 0;
    for seed in 0..3000 {
        lost += cut(seed, seed % 4 == 0).lost;
    }
    assert!(lost > 10_000, "{lost}");
}
